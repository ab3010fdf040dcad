import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ensureRedis } from '../../services/redis/ensure.ts';
import { projectDir } from '../../shared/config.ts';
import { startProcess, type TestProcess } from './processes.ts';
import { tempDir } from './temp.ts';

/** Where the tests' Redis is unpacked once per clone when the machine has none on the PATH. */
const redisCacheDir = join(projectDir, 'node_modules', '.cache', 'fasttask', 'redis');

let found: ReturnType<typeof ensureRedis> | undefined;

/** The server's program, found on the PATH or unpacked; looked for once per process. */
export function redisProgram(): ReturnType<typeof ensureRedis> {
  found ??= ensureRedis({ dir: redisCacheDir, log: () => undefined });
  return found;
}

/** One server process, or one Sentinel, with a folder that survives `kill9` and `restart`. */
export class RedisServer {
  readonly dir: string;
  readonly port: number;
  #process: TestProcess;
  readonly #start: () => Promise<TestProcess>;

  private constructor(dir: string, port: number, process: TestProcess, start: () => Promise<TestProcess>) {
    this.dir = dir;
    this.port = port;
    this.#process = process;
    this.#start = start;
  }

  /** Starts one. @param lines of redis.conf, the port among them @param flags of the command line */
  static async start(port: number, lines: readonly string[], flags: readonly string[] = []): Promise<RedisServer> {
    const { command, env } = await redisProgram();
    const dir = tempDir('redis');
    const conf = join(dir, 'redis.conf');
    writeFileSync(conf, `${['bind 127.0.0.1', `dir ${dir}`, ...lines].join('\n')}\n`, { mode: 0o600 });
    const ready = flags.includes('--sentinel') ? /Sentinel ID is/ : /Ready to accept connections/;
    const start = async () => {
      const server = await startProcess(command, [conf, ...flags], { name: `redis ${port}`, env, cwd: dir });
      await server.waitForOutput(ready);
      return server;
    };
    return new RedisServer(dir, port, await start(), start);
  }

  get pid(): number {
    return this.#process.pid;
  }

  async stop(): Promise<void> {
    if (!this.#process.alive) return;
    this.resume();
    await this.#process.stop();
  }

  async kill9(): Promise<void> {
    await this.#process.kill9();
  }

  pause(): void {
    this.#process.signal('SIGSTOP');
  }

  resume(): void {
    this.#process.signal('SIGCONT');
  }

  async restart(): Promise<void> {
    await this.stop();
    this.#process = await this.#start();
  }
}

/** Settings that every server of the tests has. */
export const commonLines = ['appendonly yes', 'save ""', 'maxmemory-policy noeviction'];
