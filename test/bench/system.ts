/** The system that is measured: a Redis with the settings of the embedded one, an API process, consumers, and floors on the same Redis. */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { redisConf } from '../../services/redis/conf.ts';
import { allocatorSettings } from '../../services/supervisor/apps.ts';
import { ensureCertificate } from '../../shared/certificate.ts';
import { projectDir } from '../../shared/config.ts';
import { taskKeys } from '../../shared/job-scripts.ts';
import { mastersOf } from '../../shared/redis.ts';
import { apiClient } from '../support/https.ts';
import { freePort } from '../support/ports.ts';
import { startProcess, startService, type TestProcess } from '../support/processes.ts';
import { TestQueue } from '../support/queue.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';

const PREFIX = 'fasttask';

/** How long a floor may take until it is ready, in milliseconds: 5,000 connections take a while. */
const FLOOR_READY_MS = 120_000;

/** What is set anew for a test's server: its place and its secret. */
const OWN_LINES = /^(bind|port|protected-mode|requirepass|dir|daemonize) /;

/** The settings of the embedded Redis, but for these. */
const embedded = redisConf({ listenHost: '127.0.0.1', port: 0, password: '', dataDir: '' })
  .split('\n')
  .filter((line) => line !== '' && !OWN_LINES.test(line));

/** How the embedded Redis keeps its append-only file. */
export const aof = embedded.find((line) => line.startsWith('appendfsync '))?.replace(/^\S+ /, '') ?? 'off';

/** Where an API answers. */
export interface Target {
  origin: string;
  /** Sent with every request. */
  headers: Readonly<Record<string, string>>;
  process?: TestProcess;
}

/** An installation of another place. @param user `name:password`, where one must sign in */
export function targetOf(url: string, user?: string): Target {
  const headers = user === undefined ? {} : { authorization: `Basic ${Buffer.from(user).toString('base64')}` };
  return { origin: url.replace(/\/$/, ''), headers };
}

export class System {
  readonly queue: TestQueue;
  readonly ssl: { key: string; cert: string };
  readonly #started: TestProcess[] = [];

  private constructor(queue: TestQueue, ssl: { key: string; cert: string }) {
    this.queue = queue;
    this.ssl = ssl;
  }

  static async start(): Promise<System> {
    const folder = tempDir('ssl');
    const ssl = { key: join(folder, 'key.pem'), cert: join(folder, 'cert.pem') };
    await ensureCertificate({ keyFile: ssl.key, certFile: ssl.cert, apiHost: '127.0.0.1' });
    return new System(await TestQueue.start({ kind: 'server', args: embedded }), ssl);
  }

  /** The one server. */
  get redis(): Redis {
    const [server] = mastersOf(this.queue.redis);
    if (server === undefined) throw new Error('expected a server');
    return server;
  }

  /** Starts an API process over HTTPS, and waits until it is ready and knows these tasks. */
  async api(tasks: readonly string[], env: Record<string, string> = {}): Promise<Target & { process: TestProcess }> {
    const port = await freePort();
    const process = await startService('api', {
      NODE_TYPE: 'distributed_master',
      ...this.queue.server.env,
      API_PORT: String(port),
      FILES_DIR: tempDir('files'),
      SSL_KEYFILE: this.ssl.key,
      SSL_CERTFILE: this.ssl.cert,
      ...env,
    });
    this.#started.push(process);
    await process.waitForEvent('api.listening', { timeoutMs: 45_000 });
    const origin = `https://127.0.0.1:${port}`;
    const client = apiClient(origin);
    await until(async () => (await client.get('/ready')).status === 200, { what: 'the API to be ready', timeoutMs: 20_000 });
    for (const task of tasks)
      await until(async () => (await client.get(`/create/${task}`)).status === 405, { what: `${task} to be known`, timeoutMs: 20_000 });
    return { origin, headers: {}, process };
  }

  /** Starts a consumer with the settings that an installation has, and waits until it takes jobs. */
  async consumer(env: Record<string, string>): Promise<TestProcess> {
    return await this.queue.consumer({ LOG_LEVEL: 'info', ...allocatorSettings(availableParallelism()), ...env });
  }

  /** Starts a program of test/bench/floors on the same Redis, and waits for the line of JSON by which it says that it is ready. */
  async floor<Ready>(program: string, args: readonly string[] = []): Promise<{ process: TestProcess; ready: Ready }> {
    const file = join(projectDir, 'test', 'bench', 'floors', `${program}.mjs`);
    const env = { REDIS_URL: this.queue.server.url, SSL_KEYFILE: this.ssl.key, SSL_CERTFILE: this.ssl.cert };
    const process = await startProcess(globalThis.process.execPath, [file, ...args], { name: program, env });
    this.#started.push(process);
    return { process, ready: JSON.parse(await process.waitForOutput(/^\{/, FLOOR_READY_MS)) as Ready };
  }

  /** The first part of the keys of a task's queue. */
  static base(task: string): string {
    return taskKeys(PREFIX, task).base;
  }

  /** The prefix and the name under which BullMQ knows a task's queue. */
  static queueOf(task: string): [prefix: string, name: string] {
    return [PREFIX, `{${task}}`];
  }

  /** Removes the waiting jobs of a queue, so that every round begins alike. @param base of its keys */
  async dropWaiting(base: string): Promise<void> {
    await this.#drop(base, await this.redis.lrange(`${base}wait`, 0, -1), [`${base}wait`, `${base}marked`]);
  }

  /** Removes the jobs of a queue that have ended well. */
  async dropCompleted(base: string): Promise<void> {
    await this.#drop(base, await this.redis.zrange(`${base}completed`, '0', '-1'), [`${base}completed`]);
  }

  async #drop(base: string, ids: readonly string[], lists: readonly string[]): Promise<void> {
    const keys = [...ids.map((id) => base + id), ...lists];
    for (let from = 0; from < keys.length; from += 1000) await this.redis.unlink(...keys.slice(from, from + 1000));
  }

  async stop(): Promise<void> {
    for (const process of this.#started) if (process.alive) await process.kill9();
    await this.queue.stop();
  }
}
