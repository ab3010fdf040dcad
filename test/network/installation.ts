/** One installation on four hosts: a master (Redis, API) and three workers; and a second API on this process' side of the network. */
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { redisConf } from '../../services/redis/conf.ts';
import { ensureCertificate } from '../../shared/certificate.ts';
import { projectDir } from '../../shared/config.ts';
import { createLogger } from '../../shared/logger.ts';
import { connectRedis, type Redis } from '../../shared/redis.ts';
import { apiClient, jobOf } from '../support/https.ts';
import { freePort } from '../support/ports.ts';
import { startService, type TestProcess } from '../support/processes.ts';
import { redisProgram } from '../support/redis.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';
import { Diary, nowMs } from './diary.ts';
import { type Host, Lan } from './lan.ts';

const WORKERS = ['a', 'b', 'c'] as const;
export type WorkerName = (typeof WORKERS)[number];

/** Jobs that a worker runs at once. */
export const SLOTS = 2;

const REDIS_PORT = 6379;
const API_PORT = 9001;
const PREFIX = 'fasttask';

type Api = ReturnType<typeof apiClient>;

export class NetworkInstallation {
  readonly lan = Lan.make(['m', ...WORKERS]);
  readonly diary = new Diary(join(tempDir('diary'), 'diary.jsonl'));
  /** The API on the master, and one beside this process that reaches Redis over the network. */
  readonly apis: { master: Api; near: Api };
  readonly #password = randomBytes(12).toString('hex');
  readonly #workers = new Map<WorkerName, TestProcess>();
  readonly #services: TestProcess[] = [];
  #redis: TestProcess | undefined;
  #client: Redis | undefined;

  private constructor(nearPort: number) {
    const { address } = this.master;
    this.apis = { master: apiClient(`https://${address}:${API_PORT}`), near: apiClient(`https://${this.lan.address}:${nearPort}`) };
  }

  /** Starts everything; the APIs know the workers' tasks when this returns. */
  static async start(): Promise<NetworkInstallation> {
    const nearPort = await freePort();
    const installation = new NetworkInstallation(nearPort);
    try {
      await installation.#startAll(nearPort);
    } catch (error) {
      await installation.stop();
      throw error;
    }
    return installation;
  }

  get master(): Host {
    return this.lan.host('m');
  }

  worker(name: WorkerName): TestProcess {
    const worker = this.#workers.get(name);
    if (worker === undefined) throw new Error(`the worker ${name} has not been started`);
    return worker;
  }

  async #startAll(nearPort: number): Promise<void> {
    const { address } = this.master;
    await this.#startRedis();
    const master = await this.#apiEnv(address, { MASTER_HOST: address, TASK_QUEUE_PORT: String(REDIS_PORT) });
    const near = await this.#apiEnv(this.lan.address, {
      REDIS_URL: `redis://:${this.#password}@${address}:${REDIS_PORT}`,
      API_PORT: String(nearPort),
    });
    const apis = await Promise.all([
      this.#startOn(this.master, 'api', master),
      this.#startNear(near),
      ...WORKERS.map((name) => this.startWorker(name)),
    ]);
    for (const api of apis.slice(0, 2)) await api.waitForEvent('api.listening', { timeoutMs: 45_000 });
    for (const api of Object.values(this.apis)) {
      for (const task of ['anywhere', 'endless', ...WORKERS.map((name) => `on_${name}`)]) {
        // A task that is known answers a GET of its path with 405.
        await until(async () => (await api.get(`/create/${task}`)).status === 405, { what: `${task} to be known`, timeoutMs: 20_000 });
      }
    }
  }

  async #startRedis(): Promise<void> {
    const { command, env } = await redisProgram();
    const dataDir = tempDir('redis');
    const conf = join(dataDir, 'redis.conf');
    const { address: host } = this.master;
    const text = redisConf({ listenHost: host, port: REDIS_PORT, password: this.#password, dataDir });
    writeFileSync(conf, text, { mode: 0o600 });
    this.#redis = await this.master.start(command, [conf], { env, cwd: dataDir });
    await this.#redis.waitForOutput(/Ready to accept connections/);
    const settings = {
      url: undefined,
      embedded: false,
      listenHost: host,
      host,
      port: REDIS_PORT,
      password: this.#password,
      prefix: PREFIX,
    };
    this.#client = connectRedis(settings, { name: 'test' }, createLogger('silent', { service: 'test' }));
  }

  /** Starts a worker, with a way of its own to Redis where one is given, and waits until it takes jobs. */
  async startWorker(name: WorkerName, redis = { host: this.master.address, port: REDIS_PORT }): Promise<TestProcess> {
    const worker = await this.#startOn(this.lan.host(name), 'consumer', {
      NODE_TYPE: 'distributed_worker',
      MASTER_HOST: redis.host,
      TASK_QUEUE_PORT: String(redis.port),
      TASK_QUEUE_PASSWD: this.#password,
      WORKER_TAG: name,
      WORKER_CONCURRENCY: String(SLOTS),
      ENABLED_TASKS: `anywhere,on_${name}${name === 'c' ? ',endless' : ''}`,
      TASKS_DIR: join(projectDir, 'test/fixtures/network_tasks'),
      FILES_DIR: tempDir(`worker-${name}`),
      FILE_EXPIRATION_SECONDS: '600',
      LOG_LEVEL: 'debug',
      NETWORK_HOST: name,
      NETWORK_DIARY: this.diary.file,
    });
    this.#workers.set(name, worker);
    await worker.waitForEvent('consumer.started', { timeoutMs: 45_000 });
    return worker;
  }

  async #apiEnv(apiHost: string, env: Record<string, string>): Promise<Record<string, string>> {
    const files = tempDir('files');
    const ssl = join(files, 'fasttask/ssl_cert');
    for (const folder of ['conf', 'ssl_cert']) mkdirSync(join(files, 'fasttask', folder), { recursive: true });
    await ensureCertificate({ keyFile: join(ssl, 'key.pem'), certFile: join(ssl, 'cert.pem'), apiHost });
    return {
      NODE_TYPE: 'distributed_master',
      ...(env['REDIS_URL'] === undefined ? { TASK_QUEUE_PASSWD: this.#password } : {}),
      API_HOST: apiHost,
      API_PORT: String(API_PORT),
      API_ALLOW_ANONYMOUS: 'True',
      FILES_DIR: files,
      ...env,
    };
  }

  async #startOn(host: Host, service: string, env: Record<string, string>): Promise<TestProcess> {
    const entry = join(projectDir, 'dist/services', service, 'bundle.js');
    const started = await host.start(process.execPath, ['--enable-source-maps', entry], { name: `${service} on ${host.name}`, env });
    this.#services.push(started);
    return started;
  }

  async #startNear(env: Record<string, string>): Promise<TestProcess> {
    const started = await startService('api', env, { name: 'api near the test' });
    this.#services.push(started);
    return started;
  }

  /** Submits jobs. @throws ZodError when one is not acknowledged */
  async submit(count: number, task: string, params: object, api: Api = this.apis.near): Promise<string[]> {
    const answers = await Promise.all(Array.from({ length: count }, () => api.post(`/create/${task}`, params)));
    return answers.map((answer) => jobOf(answer).id);
  }

  /** Waits until all of these have ended. @returns their states and results */
  async ends(ids: readonly string[], timeoutMs: number): Promise<ReturnType<typeof jobOf>[]> {
    const ends: ReturnType<typeof jobOf>[] = [];
    await until(
      async () => {
        for (const id of ids.slice(ends.length)) {
          const job = jobOf(await this.apis.near.get(`/check/${id}`));
          if (!['SUCCESS', 'FAILURE', 'REVOKED'].includes(job.state)) return false;
          ends.push(job);
        }
        return true;
      },
      { what: `the end of ${ids.length} jobs`, timeoutMs, everyMs: 50 },
    );
    return ends;
  }

  /** Waits until the job has been started so often, on whichever host. @returns where, the last time */
  async started(id: string, times: number, timeoutMs: number) {
    const starts = await until(() => this.diary.starts(id).length >= times && this.diary.starts(id), {
      what: `${id} to be started ${times} times`,
      timeoutMs,
    });
    const last = starts[times - 1];
    if (last === undefined) throw new Error(`expected ${times} starts, got ${starts.length}`);
    return last;
  }

  /** For how many milliseconds the lock of a running job holds. */
  async lockLeftMs(task: string, id: string): Promise<number> {
    if (this.#client === undefined) throw new Error('Redis has not been started');
    return await this.#client.pttl(`${PREFIX}:{${task}}:${id}:lock`);
  }

  /** Milliseconds until a job for this worker alone, submitted now, has ended. @throws Error when it needs more than `timeoutMs` */
  async takesJobs(name: WorkerName, timeoutMs: number): Promise<number> {
    const from = nowMs();
    const [id = ''] = await this.submit(1, `on_${name}`, { ms: 0 });
    await this.ends([id], timeoutMs);
    return nowMs() - from;
  }

  /** Ends all processes, then the network. Safe to call twice. */
  async stop(): Promise<void> {
    this.#client?.disconnect();
    const all = this.#redis === undefined ? this.#services : [...this.#services, this.#redis];
    try {
      await Promise.all(all.map((one) => (one.alive ? one.kill9() : one.exited)));
    } finally {
      this.lan.remove();
    }
  }
}
