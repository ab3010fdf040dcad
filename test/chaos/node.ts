/** A real single node under PM2, for one chaos run. */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { projectDir } from '../../shared/config.ts';
import { createLogger } from '../../shared/logger.ts';
import { connectRedis, type Redis } from '../../shared/redis.ts';
import { folderWithRedis } from '../support/clone.ts';
import { freePort } from '../support/ports.ts';
import { run } from '../support/processes.ts';
import { tempDir } from '../support/temp.ts';
import type { DiaryLine } from './history.ts';

export type AppName = 'api' | 'consumer' | 'redis';

interface Listed {
  name: string;
  pid: number;
  pm2_env: { status: string };
}

const PASSWORD = 'chaos-password';
export const CONCURRENCY = 4;

export class ChaosNode {
  readonly origin: string;
  readonly redis: Redis;
  readonly #dir: string;
  readonly #files: string;
  readonly #env: Record<string, string>;

  private constructor(dir: string, files: string, env: Record<string, string>) {
    this.#dir = dir;
    this.#files = files;
    this.#env = env;
    this.origin = `https://127.0.0.1:${env['API_PORT']}`;
    const settings = {
      url: undefined,
      embedded: true,
      listenHost: '127.0.0.1',
      host: '127.0.0.1',
      port: Number(env['TASK_QUEUE_PORT']),
      password: PASSWORD,
      prefix: 'fasttask',
    };
    this.redis = connectRedis(settings, { name: 'chaos' }, createLogger('silent', { service: 'chaos' }));
  }

  /** @param dir the project, or a copy of it with something broken */
  static async make(dir: string = projectDir): Promise<ChaosNode> {
    const files = tempDir('chaos');
    const env = {
      PATH: `${await folderWithRedis()}:${process.env['PATH'] ?? ''}`,
      NODE_TYPE: 'single_node',
      FILES_DIR: files,
      TASKS_DIR: join(projectDir, 'test', 'fixtures', 'chaos_tasks'),
      CHAOS_DIARY: join(files, 'diary'),
      API_PORT: String(await freePort()),
      TASK_QUEUE_PORT: String(await freePort()),
      TASK_QUEUE_PASSWD: PASSWORD,
      UVICORN_WORKERS: '2',
      CONSUMER_PROCESSES: '2',
      WORKER_CONCURRENCY: String(CONCURRENCY),
      SOFT_TIME_LIMIT: '5',
      TIME_LIMIT: '8',
      DRAIN_TIMEOUT: '3',
      FILE_EXPIRATION_SECONDS: '3600',
    };
    return new ChaosNode(dir, files, env);
  }

  /** @throws Error with what it printed when it does not start */
  async start(): Promise<void> {
    const { code, output } = await this.#command('start');
    if (code !== 0) throw new Error(`the node did not start:\n${output}`);
  }

  #command(...args: string[]) {
    return run(process.execPath, [join(this.#dir, 'services/supervisor/bootstrap.mjs'), ...args], {
      cwd: this.#dir,
      env: this.#env,
      timeoutMs: 120_000,
    });
  }

  /** The pids of an app that run now. */
  async pids(app: AppName): Promise<number[]> {
    const { output } = await this.#command('pm2', 'jlist');
    const list = JSON.parse(output.slice(output.indexOf('[{'))) as Listed[];
    return list.filter(({ name, pid, pm2_env }) => name === app && pid > 0 && pm2_env.status === 'online').map(({ pid }) => pid);
  }

  async pm2(...args: string[]): Promise<void> {
    await this.#command('pm2', ...args);
  }

  diary(): DiaryLine[] {
    return readLines(this.#env['CHAOS_DIARY'] ?? '') as unknown as DiaryLine[];
  }

  /** How often each job was handed back, by the consumers' own account. */
  handedBack(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const { event, jobId } of readLines(join(this.#files, 'fasttask', 'log', 'consumer.log'))) {
      if (event === 'job.handed_back' && typeof jobId === 'string') counts[jobId] = (counts[jobId] ?? 0) + 1;
    }
    return counts;
  }

  /** What should not be there when all is quiet. */
  async leftovers(): Promise<string[]> {
    const keys = await this.redis.keys('fasttask:*');
    const held = keys.filter((key) => /:(places|line):|:(held|looks)$|:lock$/.test(key)).map((key) => `the key ${key}`);
    const running = new Set((await Promise.all((['api', 'consumer', 'redis'] as const).map((app) => this.pids(app)))).flat());
    const { output } = await run('ps', ['-eo', 'pid=,ppid=,args=']);
    const strays = output
      .split('\n')
      .map((line) => /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line))
      .flatMap((match) => (match === null ? [] : [{ pid: Number(match[1]), parent: Number(match[2]), command: match[3] ?? '' }]))
      .filter(({ parent, command }) => running.has(parent) || (command.includes('task-process') && parent === 1))
      .map(({ pid, command }) => `the process ${pid} ${command.slice(0, 100)}`);
    return [...held, ...strays];
  }

  log(app: AppName): string {
    return readFileSync(join(this.#files, 'fasttask', 'log', `${app}.log`), 'utf8');
  }

  async stop(): Promise<void> {
    this.redis.disconnect();
    await this.#command('stop');
    rmSync(this.#files, { recursive: true, force: true });
  }
}

/** The JSON lines of a file; a last line that was cut off by a kill is left out. */
function readLines(file: string): Record<string, unknown>[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return [];
  }
  return text.split('\n').flatMap((line) => {
    try {
      return line.startsWith('{') ? [JSON.parse(line) as Record<string, unknown>] : [];
    } catch {
      return [];
    }
  });
}
