/** The installation under test: a single_node with folders, ports and a PM2 of its own, started as a user starts it. */
import { randomBytes } from 'node:crypto';
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { z } from 'zod';
import { createLogger } from '../../shared/logger.ts';
import { connectRedis, disconnectRedis, type Redis } from '../../shared/redis.ts';
import { apiClient } from '../support/https.ts';
import { freePort } from '../support/ports.ts';
import { run } from '../support/processes.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';
import type { Fault } from './history.ts';
import { processesOf, signal, threadsOf } from './process-table.ts';

export const RUNNING_ID = 'chaos';
export const PREFIX = 'fasttask';
export const SLOTS = 4;
export const CONSUMERS = 2;

const listing = z.array(z.object({ name: z.string(), pid: z.number().optional(), pm2_env: z.object({ status: z.string() }) }));

export interface NodeOptions {
  /** A built clone of the project. */
  tree: string;
  /** A folder with redis-server, for the PATH. */
  redisFolder: string;
  /** Have Redis write to the disk before it answers. */
  fsyncAlways: boolean;
}

export class ChaosNode {
  readonly dir = tempDir('chaos');
  readonly executions = join(this.dir, 'executions.jsonl');
  readonly consumerLog = join(this.dir, 'files/fasttask/log/consumer.log');
  readonly files = join(this.dir, 'files');
  /** TMPDIR of everything that runs in it. */
  readonly tmp = join(this.dir, 'tmp');
  readonly client: ReturnType<typeof apiClient>;
  readonly redis: Redis;
  /** How many threads a consumer has when it is fresh. */
  freshThreads = 0;
  readonly #options: NodeOptions;
  readonly #env: Record<string, string>;

  private constructor(options: NodeOptions, apiPort: number, redisPort: number) {
    const password = randomBytes(12).toString('hex');
    this.#options = options;
    this.#env = {
      PATH: [options.redisFolder, process.env['PATH'] ?? ''].join(delimiter),
      TMPDIR: this.tmp,
      NODE_TYPE: 'single_node',
      RUNNING_ID,
      FILES_DIR: this.files,
      PM2_HOME: join(this.dir, 'pm2'),
      TASKS_DIR: join(options.tree, 'test/fixtures/chaos_tasks'),
      API_PORT: String(apiPort),
      TASK_QUEUE_PORT: String(redisPort),
      TASK_QUEUE_PASSWD: password,
      CONSUMER_PROCESSES: String(CONSUMERS),
      WORKER_CONCURRENCY: String(SLOTS),
      UVICORN_WORKERS: '2',
      SOFT_TIME_LIMIT: '2',
      TIME_LIMIT: '4',
      FILE_EXPIRATION_SECONDS: '600',
      DRAIN_TIMEOUT: '10',
      CHAOS_EXECUTIONS: this.executions,
    };
    this.client = apiClient(`https://127.0.0.1:${apiPort}`);
    const settings = {
      url: undefined,
      embedded: false,
      listenHost: '127.0.0.1',
      host: '127.0.0.1',
      port: redisPort,
      password,
      prefix: PREFIX,
    };
    this.redis = connectRedis(settings, { name: 'chaos', commandTimeoutMs: 5000 }, createLogger('silent', { service: 'chaos' }));
  }

  /** Makes the folders; nothing runs yet. */
  static async make(options: NodeOptions): Promise<ChaosNode> {
    const node = new ChaosNode(options, await freePort(), await freePort());
    mkdirSync(node.tmp);
    writeFileSync(node.executions, '');
    return node;
  }

  /** `npm start`. @throws Error with its output when it fails */
  async start(): Promise<void> {
    await this.#bootstrap('start');
    if (this.#options.fsyncAlways) {
      // Both: what runs, and what PM2 starts after a kill.
      appendFileSync(join(this.files, 'fasttask/conf/redis.conf'), 'appendfsync always\n');
      await this.redis.config('SET', 'appendfsync', 'always');
    }
    this.freshThreads = Math.max(...(await this.pids('consumer')).map(threadsOf));
  }

  /** The pids of an app's processes that run, as PM2 lists them. */
  async pids(app: Fault['target']): Promise<number[]> {
    const { output } = await this.pm2('jlist');
    return listing
      .parse(JSON.parse(output.slice(output.indexOf('['))))
      .filter(({ name, pid = 0, pm2_env: { status } }) => name === app && pid > 0 && status === 'online')
      .map(({ pid = 0 }) => pid);
  }

  pm2(...args: string[]) {
    const env = { ...this.#env, PM2_DISCRETE_MODE: '1', PM2_DISABLE_VERSION_CHECK: '1' };
    return run(process.execPath, [join(this.#options.tree, 'node_modules/pm2/bin/pm2'), ...args], { env, cwd: this.#options.tree });
  }

  /** Everything of this installation that runs. */
  processes() {
    return processesOf(this.dir);
  }

  async redisAnswers(timeoutMs = 30_000): Promise<void> {
    await until(() => this.redis.ping(), { what: 'Redis to answer', timeoutMs, everyMs: 20 });
  }

  /** Ends all of it, whatever state it is in. Safe to call twice. */
  async stop(): Promise<void> {
    disconnectRedis(this.redis);
    for (const { pid } of this.processes()) signal(pid, 'SIGCONT');
    await this.#bootstrap('stop').catch(() => undefined);
    for (const { pid } of this.processes()) signal(pid, 'SIGKILL');
    await until(() => this.processes().length === 0, { what: `the processes of ${this.dir} to end` });
  }

  async #bootstrap(command: 'start' | 'stop'): Promise<void> {
    const { tree } = this.#options;
    const script = join(tree, 'services/supervisor/bootstrap.mjs');
    const { code, output } = await run(process.execPath, [script, command], { cwd: tree, env: this.#env, timeoutMs: 150_000 });
    if (code !== 0) throw new Error(`${command} of the installation failed:\n${output}`);
  }
}
