/** Jobs as the API sees them: submitted, checked, revoked, counted. The only module that knows BullMQ's Queue. */
import { Queue } from 'bullmq';
import { addJobs, type NewJob } from './add-jobs.ts';
import { Batch } from './batch.ts';
import { newJobId, parseJobId } from './job-id.ts';
import { type JobLogLine, readJobLog } from './job-log.ts';
import { type RevokeOutcome, revokeJob, taskKeys } from './job-scripts.ts';
import { type JobView, viewOf } from './job-state.ts';
import { oldestWaiting } from './oldest-waiting.ts';
import { JobReader } from './read-jobs.ts';
import { answering, type Redis } from './redis.ts';
import type { TaskDescriptor } from './registry.ts';
import { watchJob } from './watch-job.ts';

/** What a job carries beside its params; only what differs from the default is stored. */
export interface JobData {
  params: unknown;
  /** Limits of this call in seconds, never above the task's. */
  softTimeLimit?: number;
  timeLimit?: number;
  /** Channel on which the end of the job is told (set by /run). */
  replyTo?: string;
  /** The job may open files of its owner alone: a submitter's. */
  ownFilesOnly?: true;
  /** At most so many jobs of this task with this key run at once. */
  concurrency?: JobConcurrency;
}

/** A place that a job must hold while it runs (`fasttask_concurrency_params` of its request). */
export interface JobConcurrency {
  key: string;
  max: number;
  /** Seconds after which a held job is looked at again at the latest. */
  countdownSeconds: number;
  /** Seconds after the last renewal at which the place of a vanished job is free again. */
  expireSeconds: number;
}

/** How many jobs of a task are in which state. */
export interface TaskCounts {
  waiting: number;
  active: number;
  /** Waiting for their next try. */
  delayed: number;
  /** Waiting for a place of their concurrency key. */
  held: number;
  succeeded: number;
  failed: number;
  revoked: number;
}

/** Jobs that ended in a window of time. */
export interface EndedCounts {
  succeeded: number;
  failed: number;
}

export interface JobsOptionsOfNode {
  redis: Redis;
  prefix: string;
  runningId: string;
  /** For results that no consumer has stamped. */
  resultExpiresSeconds: number;
}

/** Results freed in one step: BullMQ's script holds Redis for that long. */
const SWEEP_BATCH = 1000;

/** Jobs that are added by one script when they come together. */
const FLIGHT_JOBS = 100;

/** Longer jobs, in characters of their JSON text, are added one by one. */
const LONG_CHARACTERS = 64 * 1024;

/** The owner of a job that belongs to no account. */
const NOBODY = '';

export class Jobs {
  readonly runningId: string;
  readonly #redis: Redis;
  readonly #prefix: string;
  readonly #resultExpiresSeconds: number;
  readonly #queues = new Map<string, Queue>();
  readonly #reader: JobReader;
  readonly #flightsOf = new WeakMap<TaskDescriptor, Batch<NewJob, string>>();

  constructor(options: JobsOptionsOfNode) {
    this.runningId = options.runningId;
    this.#redis = options.redis;
    this.#reader = new JobReader(options.redis);
    this.#prefix = options.prefix;
    this.#resultExpiresSeconds = options.resultExpiresSeconds;
  }

  /**
   * Puts one job into its task's queue. When this returns, the job is in Redis.
   * @param owner the name of the account that it belongs to; nobody when left out. It is kept as BullMQ's name of the job, which
   * would repeat the task otherwise.
   * @param id made beforehand by `newId` where the caller must know it first
   * @throws RedisUnavailableError
   */
  async submit(task: TaskDescriptor, data: JobData, owner: string = NOBODY, id: string = this.newId(task.name)): Promise<string> {
    const job = { id, name: owner, data: JSON.stringify(data) };
    // A flight of such jobs would become one text of hundreds of megabytes.
    if (job.data.length > LONG_CHARACTERS) await this.#add(task, [job]);
    else await this.#flights(task).add(job);
    return id;
  }

  /** Puts many jobs of one task and one owner into its queue: all of them or none. */
  async submitAll(task: TaskDescriptor, list: readonly JobData[], owner: string = NOBODY): Promise<string[]> {
    const jobs = list.map((data) => ({ id: this.newId(task.name), name: owner, data: JSON.stringify(data) }));
    return await this.#add(task, jobs);
  }

  /** The jobs of one task that are submitted in the same turn of the event loop, whoever submits them, are added by one script. */
  #flights(task: TaskDescriptor): Batch<NewJob, string> {
    let flights = this.#flightsOf.get(task);
    if (flights === undefined) {
      flights = new Batch((jobs) => this.#add(task, jobs), { most: FLIGHT_JOBS });
      this.#flightsOf.set(task, flights);
    }
    return flights;
  }

  async #add(task: TaskDescriptor, jobs: readonly NewJob[]): Promise<string[]> {
    await answering(this.#redis, () => addJobs(this.#redis, this.#prefix, task, jobs));
    return jobs.map(({ id }) => id);
  }

  newId(task: string): string {
    return newJobId(this.runningId, task);
  }

  /** What is known of a job, in constant time. Undefined: never existed, or its result has expired. */
  async check(task: string, id: string): Promise<JobView | undefined> {
    const fields = await this.#reader.read(taskKeys(this.#prefix, task).job(id));
    return viewOf(fields, Date.now(), this.#resultExpiresSeconds);
  }

  /** As `check`, and where the job has not ended, its end is told on `channel` (replies.ts). */
  async watch(task: string, id: string, channel: string): Promise<JobView | undefined> {
    const values = await answering(this.#redis, () => watchJob(this.#redis, { prefix: this.#prefix, task, id }, channel));
    return viewOf(values, Date.now(), this.#resultExpiresSeconds);
  }

  /** The last lines that a job wrote, oldest first; none when there is no such job. */
  async log(task: string, id: string): Promise<JobLogLine[]> {
    return await answering(this.#redis, () => readJobLog(this.#redis, this.#prefix, task, id));
  }

  /** Revokes a job; from the answer on it never starts. An ended one keeps its state; `unknown` also when it has expired. */
  async revoke(task: string, id: string): Promise<RevokeOutcome> {
    const outcome = await answering(this.#redis, () => revokeJob({ redis: this.#redis, prefix: this.#prefix, task, id }));
    if (outcome !== 'ended') return outcome;
    return (await this.check(task, id)) === undefined ? 'unknown' : 'ended';
  }

  /** Of these ids those of jobs that belong to `owner`. */
  async ownedBy(owner: string, ids: readonly string[]): Promise<Set<string>> {
    const jobs = ids.flatMap((id) => {
      const task = parseJobId(id, this.runningId)?.task;
      return task === undefined ? [] : [{ id, key: taskKeys(this.#prefix, task).job(id) }];
    });
    // Not a pipeline: on a cluster the jobs of different tasks lie on different shards. One tick's commands leave together anyway.
    const names = await answering(this.#redis, () => Promise.all(jobs.map(({ key }) => this.#redis.hget(key, 'name'))));
    return new Set(jobs.filter((_, index) => names[index] === owner).map(({ id }) => id));
  }

  /** Jobs of a task by state, each count in constant time. Waiting ones that are revoked are left out. */
  async counts(task: string): Promise<TaskCounts> {
    const keys = taskKeys(this.#prefix, task);
    const pipeline = this.#redis.pipeline().llen(keys.wait).scard(keys.marked).llen(keys.active).zcard(keys.delayed).zcard(keys.held);
    const numbers = await this.#numbers(pipeline.zcard(keys.completed).zcard(keys.failed).zcard(keys.revoked));
    const [wait = 0, marked = 0, active = 0, delayed = 0, held = 0, completed = 0, failed = 0, revoked = 0] = numbers;
    return {
      waiting: Math.max(0, wait - marked),
      active,
      delayed,
      held,
      succeeded: completed,
      failed: failed - revoked,
      revoked: revoked + marked,
    };
  }

  /** Jobs of a task that ended in the last `windowsSeconds[i]` seconds, for each window; as far back as results are kept. */
  async ended(task: string, windowsSeconds: readonly number[]): Promise<EndedCounts[]> {
    const keys = taskKeys(this.#prefix, task);
    const now = Date.now();
    const pipeline = this.#redis.pipeline();
    for (const seconds of windowsSeconds) {
      for (const key of [keys.completed, keys.failed, keys.revoked]) pipeline.zcount(key, now - seconds * 1000, '+inf');
    }
    const numbers = await this.#numbers(pipeline);
    return windowsSeconds.map((_, index) => {
      const [succeeded = 0, failed = 0, revoked = 0] = numbers.slice(index * 3, index * 3 + 3);
      return { succeeded, failed: failed - revoked };
    });
  }

  /** Since when the job that waits longest has waited, in milliseconds since 1970; undefined when none waits. Bounded, see there. */
  async oldestWaiting(task: string): Promise<number | undefined> {
    return await answering(this.#redis, () => oldestWaiting(this.#redis, this.#prefix, task));
  }

  /** Frees the results of a task that are older than this. @returns how many */
  async sweep(task: string, ageSeconds: number): Promise<number> {
    const ageMs = ageSeconds * 1000;
    let freed = 0;
    for (const state of ['completed', 'failed'] as const) {
      for (let batch = SWEEP_BATCH; batch === SWEEP_BATCH; freed += batch) {
        batch = (await this.#queue(task).clean(ageMs, SWEEP_BATCH, state)).length;
      }
    }
    await this.#redis.zremrangebyscore(taskKeys(this.#prefix, task).revoked, 0, Date.now() - ageMs);
    return freed;
  }

  async #numbers(pipeline: ReturnType<Redis['pipeline']>): Promise<number[]> {
    return (await this.#replies(pipeline)).map(Number);
  }

  async #replies(pipeline: ReturnType<Redis['pipeline']>): Promise<unknown[]> {
    const replies = await answering(this.#redis, async () => {
      const all = (await pipeline.exec()) ?? [];
      for (const [error] of all) if (error !== null) throw error;
      return all;
    });
    return replies.map(([, value]) => value);
  }

  #queue(task: string): Queue {
    let queue = this.#queues.get(task);
    if (queue === undefined) {
      queue = this.#openQueue(task);
      this.#queues.set(task, queue);
    }
    return queue;
  }

  #openQueue(task: string): Queue {
    const options = { prefix: this.#prefix, skipMetasUpdate: true, skipVersionCheck: true, streams: { events: { maxLen: 0 } } };
    const queue = new Queue(`{${task}}`, { connection: this.#redis, ...options });
    // The connection's own listener reports a lost Redis; without one here BullMQ would throw.
    queue.on('error', () => {});
    // A queue whose start failed stays broken for good: the next call opens another.
    queue.waitUntilReady().catch(() => {
      if (this.#queues.get(task) === queue) this.#queues.delete(task);
      queue.close().catch(() => {});
    });
    return queue;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#queues.values()].map((queue) => queue.close()));
    this.#queues.clear();
  }
}
