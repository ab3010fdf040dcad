import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ensureRedis } from '../../services/redis/ensure.ts';
import { projectDir } from '../../shared/config.ts';
import { freePort } from './ports.ts';
import { startProcess, type TestProcess } from './processes.ts';
import { tempDir } from './temp.ts';

/** Where the tests' Redis is unpacked once per clone when the machine has none on the PATH. */
const redisCacheDir = join(projectDir, 'node_modules', '.cache', 'fasttask', 'redis');

/** A Redis server of one test file, on loopback, with data that survives `kill9` and `restart`. */
export interface TestRedis {
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly password: string;
  readonly dir: string;
  readonly pid: number;
  stop(): Promise<void>;
  kill9(): Promise<void>;
  /** Stops it from answering, with its connections open (SIGSTOP). */
  pause(): void;
  resume(): void;
  /** Starts it again on the same port with the same data; ends it first if it runs. */
  restart(): Promise<void>;
}

let found: ReturnType<typeof ensureRedis> | undefined;

/** The server's program, found on the PATH or unpacked; looked for once per process. */
export function redisProgram(): ReturnType<typeof ensureRedis> {
  found ??= ensureRedis({ dir: redisCacheDir, log: () => undefined });
  return found;
}

/** Starts a Redis on a free port in a folder of its own. `args` are lines of redis.conf, such as `maxmemory 10mb`. */
export async function startRedis({ args = [] }: { args?: readonly string[] } = {}): Promise<TestRedis> {
  const { command, env } = await redisProgram();
  const host = '127.0.0.1';
  const port = await freePort();
  const password = randomBytes(9).toString('hex');
  const dir = tempDir('redis');
  const conf = join(dir, 'redis.conf');
  const lines = [
    `bind ${host}`,
    `port ${port}`,
    `requirepass ${password}`,
    `dir ${dir}`,
    'appendonly yes',
    'save ""',
    'maxmemory-policy noeviction',
    ...args,
  ];
  writeFileSync(conf, `${lines.join('\n')}\n`, { mode: 0o600 });

  const start = async (): Promise<TestProcess> => {
    const server = await startProcess(command, [conf], { name: 'redis', env, cwd: dir });
    await server.waitForOutput(/Ready to accept connections/);
    return server;
  };
  let server = await start();
  const end = async () => {
    server.signal('SIGCONT');
    await server.stop();
  };
  return {
    url: `redis://:${password}@${host}:${port}`,
    host,
    port,
    password,
    dir,
    get pid() {
      return server.pid;
    },
    stop: end,
    async kill9() {
      await server.kill9();
    },
    pause: () => server.signal('SIGSTOP'),
    resume: () => server.signal('SIGCONT'),
    async restart() {
      await end();
      server = await start();
    },
  };
}
