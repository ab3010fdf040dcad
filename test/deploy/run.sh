#!/usr/bin/env bash
# Builds the image and runs both compositions of deploy/ on a real engine: jobs through the published port, a worker and the master killed with
# -9, a worker cut off the network. Needs root on Debian. Uses an engine that answers, else starts one of its own and ends it.
# The last line is "N passed, N failed".
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
# A client beside Debian's own may not know BuildKit.
export PATH=/usr/bin:$PATH DOCKER_BUILDKIT=1 COMPOSE_DOCKER_CLI_BUILD=1 DEBIAN_FRONTEND=noninteractive
project=fasttaskdeploy$$
image=$project-image
work=
passed=0
failed=0
own_engine=
forwarding=

# --- steps

# Runs one step, and prints its name, whether it went well and its seconds.
step() {
  local name=$1 began=$SECONDS
  shift
  if "$@" >"$work/step.log" 2>&1; then
    passed=$((passed + 1))
    printf 'ok      %3d s  %s\n' $((SECONDS - began)) "$name"
    # What a step wants to be known.
    sed -n 's/^SAY /              /p' "$work/step.log"
  else
    failed=$((failed + 1))
    printf 'FAILED  %3d s  %s\n' $((SECONDS - began)) "$name"
    tail -n 40 "$work/step.log" | sed 's/^/              /'
    return 1
  fi
}

finish() {
  compose_down
  if [ -n "$own_engine" ]; then
    kill "$own_engine" 2>/dev/null && tail --pid="$own_engine" -f /dev/null
    [ "$forwarding" = ACCEPT ] && iptables -P FORWARD ACCEPT
    umount "$work"/exec/netns/* 2>/dev/null
  fi
  rm -rf "$work"
  local fine=false
  [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ] && fine=true
  if [ -n "${FASTTASK_TEST_REPORT:-}" ]; then
    printf '{"numPassedTests":%d,"numFailedTests":%d,"success":%s,"testResults":[]}' "$passed" "$failed" "$fine" >"$FASTTASK_TEST_REPORT"
  fi
  printf '%d passed, %d failed\n' "$passed" "$failed"
  $fine
  exit
}

# Asks again and again, for at most so many seconds. The condition is the rest of the words.
within() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    [ $SECONDS -lt $deadline ] || { echo "not within time: $*"; return 1; }
    sleep 0.3
  done
}

# --- engine and images

packages() {
  local missing=0 program
  # One at a time: `command -v` of many succeeds when one of them is there.
  for program in dockerd docker-compose mmdebstrap iptables ip curl; do command -v "$program" >/dev/null || missing=1; done
  [ "$missing" = 0 ] && return
  apt-get update -qq && apt-get install -y -qq --no-install-recommends docker.io docker-compose mmdebstrap iptables iproute2 curl
}

start_engine() {
  forwarding=$(iptables -S FORWARD 2>/dev/null | sed -n 's/^-P FORWARD //p')
  dockerd -H "unix://$work/docker.sock" --data-root "$work/data" --exec-root "$work/exec" --pidfile "$work/docker.pid" \
    --oom-score-adjust=0 >"$work/engine.log" 2>&1 &
  own_engine=$!
  export DOCKER_HOST=unix://$work/docker.sock
  if ! timeout 60 sh -c 'until docker info >/dev/null 2>&1; do sleep 0.3; done'; then tail "$work/engine.log"; return 1; fi
}

base_image() {
  local name=node:22-bookworm-slim
  docker image inspect "$name" >/dev/null 2>&1 && return
  timeout 60 docker pull -q "$name" && return
  echo 'SAY no registry of images can be reached: a stand-in is made from packages'
  test/deploy/base-image.sh
}

# Megabytes that the image adds to its base.
build_image() {
  timeout 400 docker build -q -f deploy/Dockerfile -t "$image" . || return 1
  local base whole
  base=$(docker image inspect -f '{{.Size}}' node:22-bookworm-slim)
  whole=$(docker image inspect -f '{{.Size}}' "$image")
  local added=$(((whole - base) / 1000000))
  echo "SAY $added MB above its base"
  [ "$added" -lt 120 ] || { echo "expected less than 120 MB above the base image"; return 1; }
}

user_image() {
  docker build -q -f test/deploy/Dockerfile --build-arg FASTTASK_IMAGE="$image" -t "$project" test/deploy
}

# --- compositions

compose() {
  local client=(docker-compose)
  docker compose version >/dev/null 2>&1 && client=(docker compose)
  timeout 150 "${client[@]}" -p "$project" -f "deploy/compose.$composition.yaml" "$@"
}

composition=single-node
compose_down() {
  [ -n "${DOCKER_HOST:-}" ] || docker info >/dev/null 2>&1 || return 0
  for composition in single-node distributed; do compose down -v --remove-orphans >/dev/null 2>&1; done
  docker rm -fv "$project-probe" >/dev/null 2>&1
  docker rmi -f "$project" "$image" >/dev/null 2>&1
  return 0
}

free_port() {
  node -e 'const s=require("node:net").createServer().listen(0,()=>{console.log(s.address().port);s.close()})'
}

container_of() { docker ps -aq --filter "label=com.docker.compose.project=$project" --filter "label=com.docker.compose.service=$1"; }

# api METHOD PATH [BODY]
api() {
  curl -sk --max-time 30 -X "$1" "https://127.0.0.1:$API_PORT$2" ${3:+-d "$3"}
}

# A field of a JSON text: field 'a.b' <<<text
field() {
  node -e 'let v=JSON.parse(require("node:fs").readFileSync(0,"utf8"));for(const k of process.argv[1].split("."))v=v?.[k];console.log(typeof v==="string"?v:JSON.stringify(v))' "$1" 2>/dev/null
}

answers() { api GET /ready | grep -q '"ready"'; }
healthy() { [ "$(docker inspect -f '{{.State.Health.Status}}' "$(container_of "$1")")" = healthy ]; }
state_of() { api GET "/check/$1" | field state; }
is() { [ "$(state_of "$1")" = "$2" ]; }
create() { api POST "/create/$1" "$2" | field id; }
# The host of the worker that runs the job: its name stands in the answer as tag@host.pid
runner_of() { api GET "/check/$1" | field result | sed -n 's/.*@\([0-9a-f]*\)\..*/\1/p'; }
has_workers() { [ "$(api GET /workers | field totals.workers)" = "$1" ]; }
knows() { api GET /workers | field "tasks.$1.workers" | grep -qx "$2"; }

asks_who_calls() { api POST /run/get_circle_area '{"radius":5}' | grep -q 'Not authenticated'; }

stops_without_accounts() {
  local output
  output=$(timeout 60 docker run --rm --name "$project-probe" "$image" 2>&1) && { echo 'expected it to stop'; return 1; }
  echo "$output"
  [ "$(wc -l <<<"$output")" -eq 2 ] && grep -q 'user add NAME' <<<"$output" && grep -q 'API_ALLOW_ANONYMOUS=True' <<<"$output"
}

single_node() {
  composition=single-node
  compose run --rm fasttask user add ann --role admin </dev/null | tee "$work/account" || return 1
  local password
  password=$(sed -n 's/.*shown this once: //p' "$work/account" | tr -d '\r')
  compose up -d --no-build || return 1
  within 60 answers || { compose logs --tail 30; return 1; }
  # The API may be ready before the consumer has told it of its tasks.
  within 30 asks_who_calls || { echo 'expected 401 without an account'; api POST /run/get_circle_area '{"radius":5}'; return 1; }
  curl -sk -u "ann:$password" -X POST "https://127.0.0.1:$API_PORT/run/get_circle_area" -d '{"radius":5}' | tee /dev/stderr | grep -q 78.5398 || return 1
  within 60 healthy fasttask || return 1
  compose down -v
}

distributed_up() {
  composition=distributed
  (unset TASK_QUEUE_PASSWD; compose config) && { echo 'expected a password to be required'; return 1; }
  compose up -d --no-build || return 1
  within 60 answers && within 60 has_workers 2 && within 30 knows dwell 2 && within 60 healthy master && within 60 healthy worker-circle
}

# Each task runs on the worker that enables it alone.
own_worker() {
  local id host
  for pair in get_circle_area:worker-circle:'{"radius":5}' get_hypotenuse:worker-hypotenuse:'{"a":3,"b":4}'; do
    IFS=: read -r task service body <<<"$pair"
    for _ in 1 2 3; do
      id=$(create "$task" "$body")
      within 20 is "$id" SUCCESS || return 1
    done
    host=$(docker inspect -f '{{.Config.Hostname}}' "$(container_of "$service")")
    within 10 done_by "$task" "$host" 3 || { api POST /status_info '{"fields":["worker_status"]}'; return 1; }
  done
}

# Whether the worker on this host has ended so many jobs of a task, and no other worker any.
done_by() {
  # shellcheck disable=SC2016 # JavaScript
  api POST /status_info '{"fields":["worker_status"]}' | node -e '
    const [task, host, count] = process.argv.slice(1);
    const { worker_details: workers } = JSON.parse(require("node:fs").readFileSync(0, "utf8")).worker_status;
    const own = Object.entries(workers).filter(([name]) => name.includes(`@${host}.`)).map(([, { total }]) => total[task] ?? 0);
    const others = Object.entries(workers).filter(([name]) => !name.includes(`@${host}.`)).map(([, { total }]) => total[task] ?? 0);
    process.exit(own.length === 1 && own[0] === Number(count) && others.every((n) => n === 0) ? 0 : 1);' "$1" "$2" "$3"
}

kill_container() {
  local pid
  pid=$(docker inspect -f '{{.State.Pid}}' "$1")
  # The pid of a stopped container is 0, which would be this shell's own group.
  [ "$pid" -gt 1 ] && kill -9 "$pid"
}

worker_killed() {
  local id host began
  id=$(create dwell '{"seconds":3}')
  within 20 is "$id" STARTED || return 1
  host=$(runner_of "$id")
  kill_container "$host" || return 1
  began=$SECONDS
  within 20 is "$id" SUCCESS || { api GET "/check/$id"; return 1; }
  echo "SAY done $((SECONDS - began)) s after the kill"
  within 60 has_workers 2
}

# `docker stop` waits, so what it leaves behind is what the drain has done.
worker_told_to_stop() {
  local id host began
  id=$(create dwell '{"seconds":12}')
  within 20 is "$id" STARTED || return 1
  host=$(runner_of "$id")
  began=$SECONDS
  docker stop -t 60 "$host" || return 1
  is "$id" SUCCESS || { api GET "/check/$id"; docker logs --tail 20 "$host"; return 1; }
  [ "$(api GET "/check/$id" | field result.host)" = "$host" ] || return 1
  echo "SAY stopped in $((SECONDS - began)) s, with its job done"
  docker start "$host" && within 60 has_workers 2
}

master_killed() {
  local ids=() id began
  for _ in $(seq 12); do ids+=("$(create dwell '{"seconds":1}')"); done
  within 20 is "${ids[0]}" SUCCESS || return 1
  kill_container "$(container_of master)" || return 1
  began=$SECONDS
  within 60 answers || return 1
  within 30 has_workers 2 || return 1
  for id in "${ids[@]}"; do within 60 is "$id" SUCCESS || { api GET "/check/$id"; return 1; }; done
  echo "SAY all ${#ids[@]} jobs done $((SECONDS - began)) s after the kill"
}

# The host's end of a container's network cable.
cable_of() {
  local index
  index=$(docker exec "$1" cat /sys/class/net/eth0/iflink)
  ip -o link | sed -n "s/^$index: \([^@:]*\).*/\1/p"
}

worker_cut() {
  local id host cable began other
  id=$(create dwell '{"seconds":8}')
  within 20 is "$id" STARTED || return 1
  host=$(runner_of "$id")
  cable=$(cable_of "$host")
  [ -n "$cable" ] && ip link set "$cable" down || return 1
  began=$SECONDS
  within 30 runs_elsewhere "$id" "$host" || { ip link set "$cable" up; api GET "/check/$id"; return 1; }
  echo "SAY runs elsewhere $((SECONDS - began)) s after the cut"
  within 30 is "$id" SUCCESS || { ip link set "$cable" up; return 1; }
  other=$(api GET "/check/$id" | field result.host)
  within 40 elapsed $((began + 30)) && ip link set "$cable" up || return 1
  within 60 refused "$host" "$id" || { docker logs --tail 20 "$host"; return 1; }
  [ "$other" != "$host" ] && [ "$(api GET "/check/$id" | field result.host)" = "$other" ] || return 1
  within 60 has_workers 2
}

elapsed() { [ $SECONDS -ge "$1" ]; }
runs_elsewhere() {
  local now
  now=$(runner_of "$1")
  [ -n "$now" ] && [ "$now" != "$2" ]
}
# Whether the worker that was cut off has noticed that the job is not its own any more.
refused() { docker logs "$1" 2>&1 | grep "$2" | grep -qE 'job.write_refused|job.lost'; }

run_all() {
  step 'the image builds' build_image || return
  step 'an image of a user builds from it' user_image
  step 'a container that nobody could use stops with the two lines that mend it' stops_without_accounts
  API_PORT=$(free_port) QUEUE_PORT=$(free_port)
  export API_PORT QUEUE_PORT SOFT_TIME_LIMIT=60 FASTTASK_IMAGE=$image
  step 'single node: an account, a job through the published port' single_node || compose down -v >/dev/null 2>&1
  export FASTTASK_IMAGE=$project TASK_QUEUE_PASSWD=of-this-test-$RANDOM-$$ API_ALLOW_ANONYMOUS=True WORKER_CONCURRENCY=2
  export CIRCLE_TASKS=get_circle_area,dwell HYPOTENUSE_TASKS=get_hypotenuse,dwell
  step 'distributed: a master and two workers' distributed_up || { compose logs --tail 20; return; }
  step 'distributed: each task runs on its own worker' own_worker
  step 'distributed: a worker told to stop ends its job first' worker_told_to_stop
  step 'distributed: kill -9 of a worker in the middle of a job' worker_killed
  step 'distributed: kill -9 of the master' master_killed
  step 'distributed: a worker cut off for 30 s' worker_cut
}

if [ "$(id -u)" -ne 0 ] && ! docker info >/dev/null 2>&1; then
  echo 'skipped: neither root nor a running Docker engine'
  exit 0
fi
work=$(mktemp -d -t fasttask-deploy.XXXXXX)
trap finish EXIT
step 'packages' packages || exit
docker info >/dev/null 2>&1 || step 'a Docker engine of this test' start_engine || exit
step 'the base image' base_image || exit
run_all
