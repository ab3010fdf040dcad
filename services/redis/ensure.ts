import { existsSync, readFileSync } from 'node:fs';
import { findRedis, type Places, type RedisServer } from './find.ts';
import { canUnpack, RedisMissingError, unpackRedis } from './unpack.ts';

export type { RedisServer } from './find.ts';

/** Where a server may be found or unpacked, and who is told what is being done. */
export interface EnsureOptions extends Places {
  log?: (line: string) => void;
}

/**
 * A Redis or Valkey server, found or unpacked (which takes some seconds, once per `dir`).
 * @throws RedisMissingError with the one command that installs it on this platform
 */
export async function ensureRedis({ dir, path, log = () => {} }: EnsureOptions): Promise<RedisServer> {
  const found = await findRedis({ dir, path });
  if (found !== undefined) return found;
  if (!canUnpack()) throw new RedisMissingError(`no Redis (6.2 or newer) or Valkey on the PATH: ${installHint()}, or set REDIS_URL`);
  log(`unpacking Redis from this system's packages into ${dir} (the system itself is not changed)`);
  return unpackRedis(dir);
}

const commandFor: Record<string, string> = {
  alpine: 'apk add valkey',
  fedora: 'dnf install valkey',
  rhel: 'dnf install valkey',
  centos: 'dnf install valkey',
  arch: 'pacman -S valkey',
};

/** The one command for this platform. */
export function installHint(platform: string = process.platform, osRelease: string = readOsRelease()): string {
  if (platform === 'darwin') return 'run `brew install valkey`';
  const ids = [...osRelease.matchAll(/^ID(?:_LIKE)?=(.*)$/gm)].flatMap((match) => (match[1] ?? '').replaceAll('"', '').split(' '));
  const command = ids.map((id) => commandFor[id]).find((text) => text !== undefined);
  return command === undefined ? 'install Valkey or Redis' : `run \`${command}\``;
}

function readOsRelease(): string {
  return existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
}
