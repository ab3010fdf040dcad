/** A lane: this consumer's view of one task's queue. With claim.ts, all that knows BullMQ's Worker and Job. */
import { setTimeout as pause } from 'node:timers/promises';
import { createRedisBackend, type Job, UnrecoverableError, Worker } from 'bullmq';
import { messageOf } from '../../shared/errors.ts';
import { taskKeys, WAKE } from '../../shared/job-scripts.ts';
import type { Logger } from '../../shared/logger.ts';
import { isUnavailable, type Redis } from '../../shared/redis.ts';
import { script } from '../../shared/script.ts';
import { type End, exchangeJobs, type TakenFields } from './exchange-jobs.ts';
import type { LoadedTask } from './task-files.ts';

/** For how long a lock holds, and how often a dead consumer's jobs are looked for: a lost job runs again within 15 s. */
export const LOCK_MS = 8000;
export const RECOVERY_MS = 2000;

/** How often a job may lose its consumer and be queued again; one time more and it is failed. */
const MAX_LOSSES = 1;

/** What BullMQ's scripts say when the caller does not own the job any more. */
const NOT_OWNED = /Missing lock|Missing key|Lock mismatch|not in the active state|is not locked/i;

/** Pauses between two tries to write the end of a job while Redis refuses, in milliseconds. */
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 2000;

// KEYS job, lock, active, stalled, wait, meta, marker · ARGV id, token, 1 for a suspect. In one step: whoever takes the job next counts its start
// anew. BullMQ's own count of lost consumers makes a suspect.
const handBack = script(
  'hand-back',
  `${WAKE}
if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('GET', KEYS[2]) ~= ARGV[2] or redis.call('LREM', KEYS[3], 1, ARGV[1]) == 0 then return 0 end
redis.call('DEL', KEYS[2])
redis.call('SREM', KEYS[4], ARGV[1])
redis.call('HINCRBY', KEYS[1], 'ats', -1)
if ARGV[3] == '1' then redis.call('HINCRBY', KEYS[1], 'stc', 1) end
redis.call('RPUSH', KEYS[5], ARGV[1])
wake(KEYS[6], KEYS[3], KEYS[7])
return 1
`,
);

// KEYS stalled, locks · ARGV duration (ms), then id and token of each. BullMQ's own script writes the lock anew, which a full Redis refuses.
const renewLocks = script(
  'renew-locks',
  `
local lost = {}
for index = 2, #KEYS do
  local id, token = ARGV[2 * index - 2], ARGV[2 * index - 1]
  if redis.call('GET', KEYS[index]) == token then
    redis.call('PEXPIRE', KEYS[index], ARGV[1])
    redis.call('SREM', KEYS[1], id)
  else
    lost[#lost + 1] = id
  end
end
return lost
`,
);

export interface LaneOptions {
  task: LoadedTask;
  redis: Redis;
  prefix: string;
  /** Written into every job taken here, see job-state.ts. */
  stamp: string;
  log: Logger;
}

/** A claim, as its lane sees it. */
interface Claimed {
  readonly id: string;
  readonly token: string;
  toBullmq(worker: Worker): Job;
}

/** An end that waits for the next exchange. */
interface WaitingEnd extends End {
  resolve: (owned: boolean) => void;
  reject: (error: unknown) => void;
}

export class Lane {
  readonly task: LoadedTask;
  readonly markerKey: string;
  /** Whether a fetch may find a job: set by a marker or a success, cleared by a fetch that found none. */
  mayHaveWork = true;
  /** Counts wake-ups, so that a fetch that was under way when one came does not clear it. */
  wakes = 0;
  /** How long a job of the task usually runs here, in milliseconds; see parked-jobs.ts. Unknown ones are not taken ahead. */
  usualMs = Number.POSITIVE_INFINITY;
  /** Jobs that have ended, and whose end Redis has refused so far. */
  postponed = 0;
  /** Called when a job that was due later is due; the dispatcher sets it. */
  onDue: () => void = () => {};
  /** Called when an end waits for the next exchange; the dispatcher sets it. */
  onEnd: () => void = () => {};
  readonly #ends: WaitingEnd[] = [];
  readonly #worker: Worker;
  readonly #redis: Redis;
  readonly #prefix: string;
  readonly #stamp: string;
  readonly #log: Logger;
  #delayTimer: NodeJS.Timeout | undefined;
  #delayUntil = Number.POSITIVE_INFINITY;

  constructor(options: LaneOptions) {
    this.task = options.task;
    this.#redis = options.redis;
    this.#prefix = options.prefix;
    this.#stamp = options.stamp;
    this.#log = options.log;
    this.markerKey = taskKeys(options.prefix, options.task.name).marker;
    const settings = {
      connection: options.redis,
      prefix: options.prefix,
      autorun: false,
      name: options.stamp,
      lockDuration: LOCK_MS,
      // Checks that come sooner do nothing, whoever sends them.
      stalledInterval: RECOVERY_MS / 2,
      maxStalledCount: MAX_LOSSES,
    };
    // Without the blocking connection that a Worker otherwise opens: the dispatcher listens for all lanes.
    this.#worker = new Worker(`{${options.task.name}}`, null, settings, (name, opts) => createRedisBackend(name, opts));
    this.#worker.on('error', (error) => options.log.debug({ task: options.task.name, reason: error.message }, 'lane.failed'));
  }

  get name(): string {
    return this.task.name;
  }

  /** Sets how many of the task may run in the whole cluster. */
  async start(): Promise<void> {
    const { meta } = taskKeys(this.#prefix, this.name);
    // BullMQ takes no job of a queue that has this many active ones.
    if (this.task.concurrency === undefined) await this.#redis.hdel(meta, 'concurrency');
    else await this.#redis.hset(meta, 'concurrency', this.task.concurrency);
  }

  /** Queues the jobs again whose consumer died since the last time but one. @returns their ids */
  async recover(): Promise<string[]> {
    return await this.#worker.getBackend().moveStalledJobsToWait();
  }

  wake(): void {
    this.mayHaveWork = true;
    this.wakes += 1;
  }

  /** Ends that wait for the next exchange. */
  get endsWaiting(): number {
    return this.#ends.length;
  }

  /**
   * Writes down the ends that wait and takes at most so many jobs, in one step. A job that is due later wakes the lane then.
   * @param token unlike that of any other exchange: the lock of the jobs taken
   * @returns the jobs taken
   */
  async exchange(token: string, wanted: number): Promise<TakenFields[]> {
    const ends = this.#ends.splice(0);
    const wakes = this.wakes;
    try {
      const taking = { wanted, token, lockMs: LOCK_MS, stamp: this.#stamp };
      const { owned, taken, due } = await exchangeJobs(this.#redis, this.#prefix, this.name, ends, taking);
      for (const [index, end] of ends.entries()) end.resolve(owned[index] === true);
      if (taken.length < wanted && this.wakes === wakes) this.mayHaveWork = false;
      if (due !== undefined) this.wakeAt(due);
      return taken;
    } catch (error) {
      for (const end of ends) end.reject(error);
      throw error;
    }
  }

  /** Wakes the lane at a time (milliseconds since 1970); the earliest one asked for holds. */
  wakeAt(time: number): void {
    if (time >= this.#delayUntil) return;
    clearTimeout(this.#delayTimer);
    this.#delayUntil = time;
    this.#delayTimer = setTimeout(
      () => {
        this.#delayUntil = Number.POSITIVE_INFINITY;
        this.wake();
        this.onDue();
      },
      Math.min(Math.max(0, time - Date.now()), 2 ** 31 - 1),
    );
  }

  /**
   * Ends a job with its result, in the next exchange. False when the job is not this consumer's any more.
   * @param end its result as JSON text, and the channel of who submitted it and waits
   */
  async complete(claim: Claimed, end: Pick<End, 'json' | 'replyTo'>): Promise<boolean> {
    const { id, token } = claim;
    const write = () =>
      new Promise<boolean>((resolve, reject) => {
        this.#ends.push({ ...end, id, token, resolve, reject });
        this.onEnd();
      });
    const written = await this.#unlessRefused(claim, write);
    if (written === false) this.#log.info({ task: this.name, jobId: id, reason: 'not owned any more' }, 'job.write_refused');
    return written === true;
  }

  /** Ends a job as failed, or lets BullMQ schedule its next try. False when the job is not this consumer's any more. */
  async fail(claim: Claimed, text: string, retryable: boolean): Promise<boolean> {
    const error = retryable ? new Error(text) : new UnrecoverableError(text);
    // The text holds the task's frames; BullMQ would keep ours beside it.
    error.stack = '';
    const written = await this.#unlessRefused(claim, () => claim.toBullmq(this.#worker).moveToFailed(error, claim.token, false));
    return written !== 'refused';
  }

  /**
   * Puts a job back to wait, without the loss of an attempt. False when it is not this consumer's any more.
   * @param suspect it may be what ended its thread
   */
  async handBack(claim: Claimed, suspect = false): Promise<boolean> {
    const { id, token } = claim;
    const { job, active, stalled, wait, meta, marker } = taskKeys(this.#prefix, this.name);
    const keys = [job(id), `${job(id)}:lock`, active, stalled, wait, meta, marker];
    const written = await this.#unlessRefused(claim, () => handBack(this.#redis, keys, [id, token, suspect ? 1 : 0]));
    if (written === 0) this.#log.info({ task: this.name, jobId: id, reason: 'not owned any more' }, 'job.write_refused');
    return written === 1;
  }

  /** Writes the end of a job, again and again while Redis is full or busy: its lock is renewed meanwhile. */
  async #unlessRefused<T>(claim: Claimed, write: () => Promise<T>): Promise<T | 'refused'> {
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
      try {
        return await write();
      } catch (error) {
        const fields = { task: this.name, jobId: claim.id, reason: messageOf(error) };
        if (NOT_OWNED.test(fields.reason)) {
          this.#log.info(fields, 'job.write_refused');
          return 'refused';
        }
        if (!isUnavailable(error)) throw error;
        this.#log.warn(fields, 'job.write_postponed');
        this.postponed += 1;
        await pause(pauseMs);
        this.postponed -= 1;
      }
    }
  }

  /** Renews locks, also while Redis is full. @returns ids whose lock is lost */
  async renew(claims: readonly Claimed[]): Promise<string[]> {
    const keys = taskKeys(this.#prefix, this.name);
    const locks = claims.map(({ id }) => `${keys.job(id)}:lock`);
    const pairs = claims.flatMap(({ id, token }) => [id, token]);
    const lost = await renewLocks(this.#redis, [keys.stalled, ...locks], [LOCK_MS, ...pairs]);
    return Array.isArray(lost) ? lost.map(String) : [];
  }

  /** Removes at most `limit` jobs of a final state that ended more than `ageMs` ago. @returns how many */
  async clean(ageMs: number, limit: number, state: 'completed' | 'failed'): Promise<number> {
    return (await this.#worker.getBackend().cleanJobsByState(state, Date.now() - ageMs, limit)).length;
  }

  /** Takes nothing more and looks after nobody's jobs. Safe to call twice. */
  async stop(): Promise<void> {
    clearTimeout(this.#delayTimer);
    await this.#worker.close(true);
  }
}
