/** One job's way through the consumer, as a list of named steps. */
import type { Config } from '../../shared/config.ts';
import { messageOf } from '../../shared/errors.ts';
import { dropRevokedJob } from '../../shared/job-scripts.ts';
import { type JobView, REVOKED_WAITING } from '../../shared/job-state.ts';
import type { Logger } from '../../shared/logger.ts';
import type { Redis } from '../../shared/redis.ts';
import { tellEnd } from '../../shared/replies.ts';
import type { Claim } from './claim.ts';
import { failureOf, isRetried } from './failure.ts';
import { LONGEST_TIMER_MS, watchLimits } from './limits.ts';
import { CHAIN_PATIENCE_MS, usualAfter } from './parked-jobs.ts';
import { Places } from './places.ts';
import type { Run, RunEnd, RunPlace } from './run.ts';
import { RunningJob, type StopCause } from './running-job.ts';
import { limitsOfJob } from './task-options.ts';
import type { ThreadPool } from './thread-pool.ts';
import type { JobRequest, PlainError } from './thread-protocol.ts';

export interface ProcessorOptions {
  threads: Pick<ThreadPool, 'run' | 'runChain'>;
  /** Whether short jobs may be given to a thread several at once. */
  chains: boolean;
  /** For tasks that ask for it, and for suspects. */
  processes: RunPlace;
  /** How long a job may go on after the consumer wants to end it, in milliseconds: its code may end by itself. */
  graceMs: (cause: StopCause, claim: Claim) => number;
  redis: Redis;
  prefix: string;
  limits: Config['limits'];
  resultMaxBytes: number;
  log: Logger;
  /** Called when a job's thread does not end. */
  onStuck: (job: RunningJob) => void;
  /** Brings the files that a job has made to where clients find them. @throws Error with the reason, for a client's eyes */
  deliver: (names: readonly string[], owner: string, signal: AbortSignal) => Promise<void>;
  /** Called when a job has left its slot. */
  onOver: (id: string) => void;
}

/** How many revokes are remembered in case they are told before the job that they name is known here. */
const REMEMBERED_REVOKES = 10_000;

export class Processor {
  /** Jobs that hold a slot, by id. */
  readonly running = new Map<string, RunningJob>();
  /** Runs that ended here since the start, by task; those that were handed back have not. */
  readonly done = new Map<string, number>();
  readonly #options: ProcessorOptions;
  readonly #places: Places;
  readonly #revoked = new Set<string>();

  constructor(options: ProcessorOptions) {
    this.#options = options;
    this.#places = new Places(options.redis, options.prefix);
  }

  /** Runs a claimed job, or several one after another, to the end. `free` is called as soon as the slot may be used again. */
  async execute([claim, ...others]: readonly [Claim, ...Claim[]], free: () => void): Promise<void> {
    if (others.length > 0) return await this.#executeChain([claim, ...others], free);
    if (claim.job.deferredFailure !== undefined) return await this.#endUnstarted(claim, claim.job.deferredFailure);
    if ((await this.#places.take(claim)) !== 'taken') return;
    let left: Promise<void> | undefined;
    try {
      await this.#endEarlierRun(claim.id);
      if (this.#revoked.delete(claim.id)) return;
      const place = claim.suspect || claim.lane.task.isolation === 'process' ? this.#options.processes : this.#options.threads;
      const job = this.#watch(claim, place.run(this.#requestOf(claim)));
      const end = await this.#underLimits(job);
      left = job.run.left.then(free);
      await this.#finish(job, end);
    } finally {
      this.#forget(claim);
      await this.#giveBack(claim);
      // A job that was recalled may have gone while its thread still has to pass it over.
      await left;
    }
  }

  /** Whether a job may be given to the thread of another together with that one: both want nothing but a thread. */
  mayFollow(claim: Claim, first: Claim): boolean {
    return this.#options.chains && claim.lane === first.lane && this.#isPlain(claim) && this.#isPlain(first);
  }

  #isPlain({ id, suspect, job, lane }: Claim): boolean {
    const wishes = suspect || job.deferredFailure !== undefined || job.data.concurrency !== undefined || lane.task.isolation === 'process';
    return !wishes && !this.running.has(id) && !this.#revoked.has(id);
  }

  /** What has not begun after a while goes back, the first one last: it is the next again. Another slot or node may be free. */
  async #executeChain(claims: readonly Claim[], free: () => void): Promise<void> {
    const runs = this.#options.threads.runChain(claims.map((claim) => this.#requestOf(claim)));
    const jobs = claims.flatMap((claim, index) => {
      const run = runs[index];
      return run === undefined ? [] : [this.#watch(claim, run)];
    });
    const patience = setTimeout(() => {
      for (const { run } of jobs.toReversed()) run.recall();
    }, CHAIN_PATIENCE_MS);
    const ends = jobs.map(async (job) => {
      const end = await this.#underLimits(job);
      // Recalled, or its thread had to be replaced before: the next ones are not taken ahead for a while.
      if ('innocent' in end) job.claim.lane.usualMs = Number.POSITIVE_INFINITY;
      return end;
    });
    const left = Promise.all([...ends, ...jobs.map(({ run }) => run.left)]).then(() => {
      clearTimeout(patience);
      free();
    });
    const outcomes = await Promise.allSettled([left, ...jobs.map((job, index) => this.#finishOfChain(job, ends[index]))]);
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  }

  async #finishOfChain(job: RunningJob, ended: Promise<RunEnd> | undefined): Promise<void> {
    try {
      if (ended !== undefined) await this.#finish(job, await ended);
    } finally {
      this.#forget(job.claim);
    }
  }

  /** The job has come back to this consumer, because its lock was lost: what still runs of it here is ended first. */
  async #endEarlierRun(id: string): Promise<void> {
    const earlier = this.running.get(id);
    if (earlier === undefined) return;
    this.stop(earlier, 'lost');
    await earlier.run.end;
  }

  /** The place is leased: one that cannot be given back now is free before long, and nothing else may suffer from it. */
  async #giveBack(claim: Claim): Promise<void> {
    await this.#places.giveBack(claim).catch((error: unknown) => {
      this.#options.log.warn({ task: claim.lane.name, jobId: claim.id, reason: messageOf(error) }, 'place.not_given_back');
    });
  }

  /** A job was revoked: its state stands already, its thread is ended. */
  revoke(id: string): void {
    const job = this.running.get(id);
    if (job !== undefined) return this.stop(job, 'revoked');
    this.#revoked.add(id);
    if (this.#revoked.size > REMEMBERED_REVOKES) for (const oldest of this.#revoked) return void this.#revoked.delete(oldest);
  }

  stop(job: RunningJob, cause: StopCause): void {
    job.stop(cause, this.#options.graceMs(cause, job.claim));
  }

  /** A job that must not run: revoked while it waited, or its consumers died too often. */
  async #endUnstarted(claim: Claim, mark: string): Promise<void> {
    if (mark === REVOKED_WAITING) {
      const { redis, prefix, log } = this.#options;
      await dropRevokedJob({ redis, prefix, task: claim.lane.name, id: claim.id }, claim.token);
      log.info({ task: claim.lane.name, jobId: claim.id }, 'job.revoked');
      return;
    }
    const losses = claim.job.stalledCounter;
    await this.#fail(claim, { text: `ConsumerLost(${losses}): the job's consumer died ${losses} times while it ran`, kind: 'final' });
    await this.#giveBack(claim);
  }

  #requestOf({ job, lane, id }: Claim): Omit<JobRequest, 'slot'> {
    const { task } = lane;
    return {
      id,
      task: task.name,
      owner: job.name,
      ownFilesOnly: job.data.ownFilesOnly === true,
      attempt: job.attemptsMade + 1,
      module: task.module,
      params: job.data.params,
      softSeconds: limitsOfJob(task, job.data, this.#options.limits).softSeconds,
      resultMaxBytes: this.#options.resultMaxBytes,
      ...(task.memoryLimit === undefined ? {} : { memoryLimit: task.memoryLimit }),
    };
  }

  #watch(claim: Claim, run: Run): RunningJob {
    const limits = limitsOfJob(claim.lane.task, claim.job.data, this.#options.limits);
    const running = new RunningJob({ claim, run, limits, onStuck: this.#options.onStuck });
    this.running.set(claim.id, running);
    return running;
  }

  async #underLimits(job: RunningJob): Promise<RunEnd> {
    const unwatch = watchLimits(job.run, job.limits, () => this.stop(job, 'limit'));
    try {
      const end = await job.run.end.finally(unwatch);
      return 'json' in end && end.files !== undefined && job.stopCause === undefined ? await this.#deliver(job, end, end.files) : end;
    } finally {
      job.ended();
      const { lane } = job.claim;
      const tookMs = job.run.tookMs();
      if (tookMs !== undefined) lane.usualMs = usualAfter(lane.usualMs, tookMs);
    }
  }

  /** Who sees SUCCESS can download what the job has made: its files are delivered before, within its hard limit. The thread is free meanwhile. */
  async #deliver(job: RunningJob, end: RunEnd, names: readonly string[]): Promise<RunEnd> {
    const { claim, limits } = job;
    const leftMs = Math.max(0, Math.min(limits.hardSeconds * 1000 - job.durationMs, LONGEST_TIMER_MS));
    const late = AbortSignal.timeout(leftMs);
    try {
      await this.#options.deliver(names, claim.job.name, AbortSignal.any([job.leaveThread(), late]));
      return end;
    } catch (error) {
      const limit = late.aborted ? ` within the job's limit of ${limits.hardSeconds} s` : '';
      return { error: { text: `FilesNotDelivered${limit}: ${messageOf(error)}`, kind: 'error' } };
    }
  }

  /** Writes down how a job ended: the one place where that is decided. */
  async #finish(job: RunningJob, end: RunEnd): Promise<void> {
    const { claim, stopCause } = job;
    const { log } = this.#options;
    const fields = fieldsOf(job);
    if (stopCause === 'lost') return log.warn(fields, 'job.lost');
    // Its state stands already.
    if (stopCause === 'revoked') {
      this.#count(claim);
      return log.info(fields, 'job.terminated');
    }
    if (!('json' in end)) {
      if (stopCause === 'handed_back') return await this.#handBack(claim, false, fields);
      if ('innocent' in end) return await this.#handBack(claim, end.suspect, fields);
    }
    this.#count(claim);
    if ('json' in end) await this.#complete(job, end.json, fields);
    else await this.#fail(claim, failureOf(job, end), fields);
  }

  #count({ lane: { name } }: Claim): void {
    this.done.set(name, (this.done.get(name) ?? 0) + 1);
  }

  /**
   * Writes down the end of a job whose thread cannot be ended: right before the consumer ends itself, which is what ends
   * the thread.
   */
  async finishStuck(job: RunningJob): Promise<void> {
    await this.#finish(job, { ended: 'held by a native call' });
    this.#forget(job.claim);
    await this.#giveBack(job.claim);
  }

  #forget(claim: Claim): void {
    // The same job may have come back to this consumer meanwhile: then the entry is not this claim's.
    if (this.running.get(claim.id)?.claim !== claim) return;
    this.running.delete(claim.id);
    this.#options.onOver(claim.id);
  }

  async #complete({ claim }: RunningJob, json: string, fields: object): Promise<void> {
    if (await claim.lane.complete(claim, { json, replyTo: claim.job.data.replyTo })) this.#options.log.debug(fields, 'job.completed');
  }

  async #fail(claim: Claim, error: PlainError, fields: object = { task: claim.lane.name, jobId: claim.id }): Promise<void> {
    const retryable = isRetried(error.kind, claim.lane.task);
    const again = retryable && claim.job.attemptsMade + 1 < claim.attempts;
    if (!(await claim.lane.fail(claim, error.text, retryable))) return;
    this.#options.log.info({ ...fields, reason: error.text.split('\n')[0] }, again ? 'job.retried' : 'job.failed');
    if (!again) this.#reply(claim, { state: 'FAILURE', resultJson: JSON.stringify(error.text) });
  }

  async #handBack(claim: Claim, suspect: boolean, fields: object): Promise<void> {
    if (await claim.lane.handBack(claim, suspect)) this.#options.log.info({ ...fields, suspect }, 'job.handed_back');
  }

  #reply(claim: Claim, view: JobView): void {
    const { redis, prefix, log } = this.#options;
    // Whoever waits reads the job again in any case, so a lost message costs time and nothing else.
    tellEnd(redis, { prefix, task: claim.lane.name, id: claim.id }, claim.job.data.replyTo, view).catch((error) =>
      log.debug({ reason: messageOf(error) }, 'reply.failed'),
    );
  }

  /** Renews the places of running jobs. */
  async renewPlaces(): Promise<void> {
    await Promise.all(
      [...this.running.values()].map(async (job) => {
        if (job.claim.job.data.concurrency === undefined) return;
        // Without its place it must not go on: it stands in line again.
        if ((await this.#places.take(job.claim)) !== 'taken') this.stop(job, 'lost');
      }),
    );
  }
}

function fieldsOf({ claim, durationMs }: RunningJob) {
  return { task: claim.lane.name, jobId: claim.id, attempt: claim.job.attemptsMade + 1, durationMs };
}
