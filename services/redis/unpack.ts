import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { FastTaskError, messageOf } from '../../shared/errors.ts';
import { findUnpacked, type RedisServer, unpackedDir } from './find.ts';

const run = promisify(execFile);

/** No server was found and none could be unpacked; the message says what to do. */
export class RedisMissingError extends FastTaskError {
  constructor(message: string) {
    super('redis_missing', 500, message);
  }
}

/** Whether servers can be unpacked here: Debian and what derives from it. */
export function canUnpack(): boolean {
  return existsSync('/usr/bin/apt-get') && existsSync('/usr/bin/dpkg');
}

/** Server and tools by distribution: Debian keeps the server's real file in the tools' package. */
const packageSets = [
  ['valkey-server', 'valkey-tools'],
  ['redis-server', 'redis-tools'],
] as const;

/**
 * Unpacks a server from this system's own package sources into `dir`, without root and without changing the system:
 * apt's lists and cache lie in a temporary folder beside it, and nothing is installed.
 * @throws RedisMissingError with apt's reason
 */
export async function unpackRedis(dir: string): Promise<RedisServer> {
  mkdirSync(dir, { recursive: true });
  const work = mkdtempSync(join(dir, 'unpacking-'));
  try {
    const session = aptIn(work);
    const { apt } = session;
    await apt('update');
    const packages = await neededPackages(session);
    await apt('download', ...packages);
    const tree = join(work, 'tree');
    for (const file of readdirSync(work).filter((name) => name.endsWith('.deb'))) await run('dpkg', ['-x', join(work, file), tree]);
    if ((await findUnpacked(tree)) === undefined) throw new Error(`the server from ${packages.join(', ')} does not run here`);
    return await moved(tree, unpackedDir(dir));
  } catch (error) {
    throw new RedisMissingError(
      `no Redis on the PATH, and none could be unpacked: ${reasonOf(error)}. Run \`apt-get install redis-server\` or set REDIS_URL`,
    );
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

type Apt = (...args: string[]) => Promise<string>;

interface AptSession {
  apt: Apt;
  /** apt's words about lists that it could not fetch. */
  failedFetches: string[];
}

/** apt-get with its state and cache in `work`. The hooks are cleared because they may write to the system's own folders. */
function aptIn(work: string): AptSession {
  const failedFetches: string[] = [];
  for (const folder of ['state/lists/partial', 'cache/archives/partial']) mkdirSync(join(work, folder), { recursive: true });
  const conf = join(work, 'apt.conf');
  writeFileSync(
    conf,
    [
      `Dir::State "${work}/state";`,
      'Dir::State::status "/var/lib/dpkg/status";',
      `Dir::Cache "${work}/cache";`,
      'APT::Sandbox::User "root";',
      'Acquire::Languages "none";',
      'Acquire::Retries "2";',
      'Acquire::http::Timeout "20";',
      'Acquire::https::Timeout "20";',
      '#clear APT::Update::Pre-Invoke;',
      '#clear APT::Update::Post-Invoke;',
      '#clear APT::Update::Post-Invoke-Success;',
      '',
    ].join('\n'),
  );
  const apt: Apt = async (...args) => {
    const { stdout, stderr } = await run('/usr/bin/env', ['LC_ALL=C', 'apt-get', '-q', '-y', `-c=${conf}`, ...args], {
      cwd: work,
      timeout: 180_000,
      maxBuffer: 16 * 1024 ** 2,
    });
    // An update that reached no server succeeds all the same; only a later step fails.
    failedFetches.push(...stderr.split('\n').filter((line) => line.startsWith('W: Failed to fetch')));
    return stdout;
  };
  return { apt, failedFetches };
}

/** Server, tools, and those of their libraries that this system does not have. */
async function neededPackages({ apt, failedFetches }: AptSession): Promise<string[]> {
  let reason: unknown;
  for (const own of packageSets) {
    try {
      const plan = await apt('--simulate', '--no-install-recommends', 'install', ...own);
      const planned = [...plan.matchAll(/^Inst (\S+)/gm)].map((match) => match[1] ?? '');
      return [...new Set([...own, ...planned.filter((name) => name.startsWith('lib'))])];
    } catch (error) {
      reason = error;
    }
  }
  throw failedFetches[0] === undefined ? reason : new Error(failedFetches[0].slice('W: '.length));
}

/** Puts the tree in place; when another process was faster, its tree serves as well. */
async function moved(tree: string, target: string): Promise<RedisServer> {
  if ((await findUnpacked(target)) === undefined) {
    rmSync(target, { recursive: true, force: true });
    try {
      renameSync(tree, target);
    } catch (error) {
      if (!existsSync(target)) throw error;
    }
  }
  const server = await findUnpacked(target);
  if (server === undefined) throw new Error(`the server in ${target} does not run`);
  return server;
}

/** apt's own last error line says more than that a command failed. */
function reasonOf(error: unknown): string {
  const stderr = typeof error === 'object' && error !== null && 'stderr' in error ? String(error.stderr) : '';
  const lines = stderr.split('\n').filter((line) => line.startsWith('E: '));
  return lines.at(-1)?.slice(3) ?? messageOf(error).split('\n')[0] ?? '';
}
