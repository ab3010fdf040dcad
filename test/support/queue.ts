import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectDir } from '../../shared/config.ts';
import { readJobLog } from '../../shared/job-log.ts';
import { hasEnded, type JobView } from '../../shared/job-state.ts';
import { type JobData, Jobs } from '../../shared/jobs.ts';
import { createLogger } from '../../shared/logger.ts';
import { connectListener, connectRedis, mastersOf, type Redis, type RedisListener } from '../../shared/redis.ts';
import { RegistryView, type TaskDescriptor } from '../../shared/registry.ts';
import { obtainRunningId } from '../../shared/running-id.ts';
import { startService, type TestProcess } from './processes.ts';
import { type RedisWish, startRedis, type TestRedis } from './redis.ts';
import { tempDir } from './temp.ts';
import { until } from './until.ts';

const fixtureTasks = join(projectDir, 'test', 'fixtures', 'tasks');

/** A Redis with what the API does: jobs are submitted, checked and revoked, without HTTP in between. */
export class TestQueue {
  readonly server: TestRedis;
  readonly redis: Redis;
  readonly jobs: Jobs;
  readonly registry: RegistryView;
  readonly #subscriber: RedisListener;
  readonly #consumers: TestProcess[] = [];

  private constructor(server: TestRedis, redis: Redis, subscriber: RedisListener, runningId: string) {
    this.server = server;
    this.redis = redis;
    this.#subscriber = subscriber;
    this.jobs = new Jobs({ redis, prefix: 'fasttask', runningId, resultExpiresSeconds: 3600 });
    this.registry = new RegistryView(redis, subscriber, 'fasttask', createLogger('silent', { service: 'test' }));
  }

  static async start(wish: RedisWish = {}): Promise<TestQueue> {
    const server = await startRedis(wish);
    const log = createLogger('silent', { service: 'test' });
    const redis = connectRedis(server.settings, { name: 'test' }, log);
    const subscriber = connectListener(server.settings, { name: 'test:subscriber' }, log);
    const queue = new TestQueue(server, redis, subscriber, await obtainRunningId(redis, 'fasttask', undefined));
    queue.registry.start();
    return queue;
  }

  /** What a consumer's process needs to find this Redis. */
  get env(): Record<string, string> {
    return {
      NODE_TYPE: 'distributed_worker',
      ...this.server.env,
      TASKS_DIR: fixtureTasks,
      FILE_EXPIRATION_SECONDS: '600',
    };
  }

  /** Starts a consumer with folders of its own and waits until it takes jobs. */
  async consumer(env: Record<string, string> = {}): Promise<TestProcess> {
    const consumer = await startService('consumer', {
      ...this.env,
      FILES_DIR: tempDir('files'),
      WORKER_CONCURRENCY: '2',
      LOG_LEVEL: 'debug',
      ...env,
    });
    this.#consumers.push(consumer);
    const { tasks } = await consumer.waitForEvent('consumer.started', { timeoutMs: 45_000 });
    const names = Array.isArray(tasks) ? tasks.map(String) : [];
    await until(() => names.every((name) => this.registry.tasks.has(name)), { what: 'the registry to know the tasks' });
    return consumer;
  }

  task(name: string): TaskDescriptor {
    const task = this.registry.tasks.get(name);
    if (task === undefined)
      throw new Error(`expected a registered task, got ${name}; known: ${[...this.registry.tasks.keys()].join(', ')}`);
    return task;
  }

  submit(task: string, params: unknown = {}, data: Omit<JobData, 'params'> = {}): Promise<string> {
    return this.jobs.submit(this.task(task), { params, ...data });
  }

  check(id: string): Promise<JobView | undefined> {
    const task = id.slice(this.jobs.runningId.length + 1, -37);
    return this.jobs.check(task, id);
  }

  /** Waits for a state and gives the job's view with its result decoded. */
  async reaches(id: string, states: readonly JobView['state'][], timeoutMs = 15_000) {
    const view = await until(
      async () => {
        const now = await this.check(id);
        return now !== undefined && states.includes(now.state) ? now : undefined;
      },
      { what: `${id} to be ${states.join(' or ')}`, timeoutMs },
    );
    return { state: view.state, result: JSON.parse(view.resultJson) as unknown };
  }

  ends(id: string, timeoutMs = 15_000) {
    return this.reaches(id, ['SUCCESS', 'FAILURE', 'REVOKED'], timeoutMs);
  }

  /** Submits a job and waits for its end. */
  async result(task: string, params: unknown = {}, data: Omit<JobData, 'params'> = {}) {
    return await this.ends(await this.submit(task, params, data));
  }

  /** The lines that a job wrote. */
  log(id: string) {
    return readJobLog(this.redis, 'fasttask', id.slice(this.jobs.runningId.length + 1, -37), id);
  }

  /** The keys of all shards that match. */
  async keys(pattern: string): Promise<string[]> {
    return (await Promise.all(mastersOf(this.redis).map((master) => master.keys(pattern)))).flat();
  }

  async ended(ids: readonly string[]): Promise<boolean> {
    const views = await Promise.all(ids.map((id) => this.check(id)));
    return views.every((view) => view !== undefined && hasEnded(view.state));
  }

  async stop(): Promise<void> {
    for (const consumer of this.#consumers) if (consumer.alive) await consumer.kill9();
    this.registry.stop();
    await this.jobs.close();
    this.redis.disconnect();
    this.#subscriber.disconnect();
    await this.server.stop();
  }
}

export interface DiaryLine {
  event: string;
  id: string;
  atMs: number;
}

/** What the noting fixture tasks wrote. */
export function readDiary(file: string): DiaryLine[] {
  const lines = readFileSync(file, 'utf8').trim();
  return lines === '' ? [] : lines.split('\n').map((line) => JSON.parse(line) as DiaryLine);
}

/** The largest number of jobs that ran at the same time, by what they noted. */
export function mostAtOnce(lines: readonly DiaryLine[]): number {
  let running = 0;
  let most = 0;
  for (const { event } of [...lines].sort((a, b) => a.atMs - b.atMs)) {
    running += event === 'start' ? 1 : -1;
    most = Math.max(most, running);
  }
  return most;
}
