import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { isRecentRedis } from '../../shared/redis-version.ts';

const run = promisify(execFile);

/** A server that can be started: its absolute path, what its environment needs beside the caller's, and its version (`7.0.15`). */
export interface RedisServer {
  command: string;
  env: Readonly<Record<string, string>>;
  version: string;
}

/** Names of the server program, the one with the freer licence first. */
const serverNames = ['valkey-server', 'redis-server'] as const;

/** The folder inside `dir` that holds an unpacked server. */
export function unpackedDir(dir: string): string {
  return join(dir, 'server');
}

/** Where servers are looked for. */
export interface Places {
  /** The folder under which an earlier start may have unpacked one. */
  dir: string;
  /** Like PATH; the caller's own when left out. */
  path?: string | undefined;
}

/** Finds a server that is recent enough: first on the PATH, then one unpacked earlier. */
export async function findRedis({ dir, path }: Places): Promise<RedisServer | undefined> {
  for (const name of serverNames) {
    const command = await onPath(name, path);
    const server = command === undefined ? undefined : await checked(command, {});
    if (server !== undefined) return server;
  }
  return findUnpacked(unpackedDir(dir));
}

/** The server inside an unpacked tree of Debian packages, with the folders of its libraries. */
export async function findUnpacked(tree: string): Promise<RedisServer | undefined> {
  const command = serverNames.map((name) => join(tree, 'usr/bin', name)).find((file) => existsSync(file));
  return command === undefined ? undefined : checked(command, { LD_LIBRARY_PATH: libraryFolders(tree).join(':') });
}

async function onPath(name: string, path: string | undefined): Promise<string | undefined> {
  try {
    const { stdout } = await run('/bin/sh', ['-c', `command -v ${name}`], path === undefined ? {} : { env: { PATH: path } });
    return stdout.trim().startsWith('/') ? stdout.trim() : undefined;
  } catch {
    return undefined;
  }
}

/** The server if it runs and is recent enough. */
async function checked(command: string, env: Record<string, string>): Promise<RedisServer | undefined> {
  try {
    const { stdout } = await run(command, ['--version'], { ...(Object.keys(env).length > 0 && { env }), timeout: 10_000 });
    const version = /v=(\d+\.\d+\.\d+)/.exec(stdout)?.[1];
    return version !== undefined && isRecentRedis(version) ? { command, env, version } : undefined;
  } catch {
    return undefined;
  }
}

/** Debian puts libraries into a folder named after the machine, such as usr/lib/x86_64-linux-gnu. */
function libraryFolders(tree: string): string[] {
  return ['usr/lib', 'lib'].flatMap((name) => {
    const folder = join(tree, name);
    if (!existsSync(folder)) return [];
    const inner = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory() && entry.name.includes('-linux-'));
    return [...inner.map((entry) => join(folder, entry.name)), folder];
  });
}
