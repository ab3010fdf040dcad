/** One job's way through the consumer, as a list of named steps. */
import type { Config } from '../../shared/config.ts';
import { dropRevokedJob } from '../../shared/job-scripts.ts';
import { type JobView, REVOKED_WAITING } from '../../shared/job-state.ts';
import type { Logger } from '../../shared/logger.ts';
import type { Redis } from '../../shared/redis.ts';
import { publishReply } from '../../shared/replies.ts';
import type { Claim } from './lane.ts';
import { watchLimits } from './limits.ts';
import { RunningJob } from './running-job.ts';
import { limitsOfJob } from './task-options.ts';
import type { RunEnd, ThreadPool } from './thread-pool.ts';
import type { PlainError } from './thread-protocol.ts';

export interface ProcessorOptions {
  pool: ThreadPool;
  redis: Redis;
  prefix: string;
  limits: Config['limits'];
  resultMaxBytes: number;
  log: Logger;
}

/** How many revokes are remembered in case they are told before the job that they name is known here. */
const REMEMBERED_REVOKES = 10_000;

export class Processor {
  /** Jobs that hold a slot, by id. */
  readonly running = new Map<string, RunningJob>();
  /** Jobs that ended here since the start, by task. */
  readonly done = new Map<string, number>();
  readonly #options: ProcessorOptions;
  readonly #revoked = new Set<string>();

  constructor(options: ProcessorOptions) {
    this.#options = options;
  }

  /** Runs a claimed job to its end. Returns the next claim when the completion brought one along. */
  async execute(claim: Claim, mayFetchNext: () => boolean): Promise<Claim | undefined> {
    if (claim.job.deferredFailure !== undefined) return await this.#endUnstarted(claim, claim.job.deferredFailure);
    if (this.#revoked.delete(claim.id)) return undefined;
    const job = this.#start(claim);
    const end = await this.#underLimits(job);
    this.running.delete(claim.id);
    this.done.set(claim.lane.name, (this.done.get(claim.lane.name) ?? 0) + 1);
    return await this.#finish(job, end, mayFetchNext);
  }

  /** A job was revoked: its thread is ended, its state stands already. */
  revoke(id: string): void {
    const job = this.running.get(id);
    if (job !== undefined) return job.stop('revoked');
    this.#revoked.add(id);
    if (this.#revoked.size > REMEMBERED_REVOKES) for (const oldest of this.#revoked) return void this.#revoked.delete(oldest);
  }

  /** Keeps the last progress of a running job beside it. */
  progress(id: string, value: unknown): void {
    this.running.get(id)?.claim.job.updateProgress(value as object).catch(() => {});
  }

  /** A job that must not run: revoked while it waited, or its consumers died too often. */
  async #endUnstarted(claim: Claim, mark: string): Promise<undefined> {
    const { redis, prefix, log } = this.#options;
    if (mark === REVOKED_WAITING) {
      await dropRevokedJob(redis, prefix, claim.lane.name, claim.id, claim.token);
      log.info({ task: claim.lane.name, jobId: claim.id }, 'job.revoked');
      return;
    }
    const losses = claim.job.stalledCounter;
    await this.#fail(claim, { text: `ConsumerLost(${losses}): the job's consumer died ${losses} times while it ran`, retryable: false });
  }

  #start(claim: Claim): RunningJob {
    const { job, lane, id } = claim;
    const limits = limitsOfJob(lane.task, job.data, this.#options.limits);
    const run = this.#options.pool.run({
      id,
      task: lane.name,
      attempt: job.attemptsMade + 1,
      module: lane.task.module,
      params: job.data.params,
      softSeconds: limits.softSeconds,
      resultMaxBytes: this.#options.resultMaxBytes,
    });
    const running = new RunningJob(claim, run, limits);
    this.running.set(id, running);
    return running;
  }

  async #underLimits(job: RunningJob): Promise<RunEnd> {
    const unwatch = watchLimits(job.run, job.limits, () => job.stop('limit'));
    try {
      return await job.run.end;
    } finally {
      unwatch();
      job.ended();
    }
  }

  /** Writes down how a job ended: the one place where that is decided. */
  async #finish(job: RunningJob, end: RunEnd, mayFetchNext: () => boolean): Promise<Claim | undefined> {
    const { claim, stopCause } = job;
    const fields = { task: claim.lane.name, jobId: claim.id, attempt: claim.job.attemptsMade + 1, durationMs: job.durationMs };
    if (stopCause === 'revoked') this.#options.log.info(fields, 'job.terminated');
    else if (stopCause === 'lost') this.#options.log.warn(fields, 'job.lost');
    else if ('json' in end) return await this.#complete(claim, end.json, fields, mayFetchNext);
    else if (stopCause === 'handed_back') await this.#handBack(claim, fields);
    else await this.#fail(claim, errorOf(job, end), fields);
    return undefined;
  }

  async #complete(claim: Claim, json: string, fields: object, mayFetchNext: () => boolean): Promise<Claim | undefined> {
    const next = await claim.lane.complete(claim, json, mayFetchNext());
    if (next === 'refused') return undefined;
    this.#options.log.debug(fields, 'job.completed');
    this.#reply(claim, { state: 'SUCCESS', resultJson: json });
    return next;
  }

  async #fail(claim: Claim, error: PlainError, fields: object = { task: claim.lane.name, jobId: claim.id }): Promise<void> {
    const again = error.retryable && claim.job.attemptsMade + 1 < (claim.job.opts.attempts ?? 1);
    if ((await claim.lane.fail(claim, error.text, error.retryable)) === 'refused') return;
    this.#options.log.info({ ...fields, reason: error.text.split('\n')[0] }, again ? 'job.retried' : 'job.failed');
    if (!again) this.#reply(claim, { state: 'FAILURE', resultJson: JSON.stringify(error.text) });
  }

  async #handBack(claim: Claim, fields: object): Promise<void> {
    if ((await claim.lane.handBack(claim)) !== 'refused') this.#options.log.info(fields, 'job.handed_back');
  }

  #reply(claim: Claim, view: JobView): void {
    const { replyTo } = claim.job.data;
    if (replyTo === undefined) return;
    // Whoever waits reads the job again in any case, so a lost message costs time and nothing else.
    publishReply(this.#options.redis, replyTo, claim.id, view).catch(() => {});
  }
}

function errorOf(job: RunningJob, end: RunEnd): PlainError {
  if (job.stopCause === 'limit') return { text: `TimeLimitExceeded(${job.limits.hardSeconds})`, retryable: false };
  if ('error' in end) return end.error;
  const reason = 'threadEnded' in end ? end.threadEnded : 'it ended without a result';
  return { text: threadEndedText(reason), retryable: true };
}

/** What a client is told when a task ended its thread by itself. */
function threadEndedText(reason: string): string {
  const [, code] = /exited with code: (\d+)/.exec(reason) ?? [];
  if (/memory limit|out of memory/i.test(reason)) return 'OutOfMemory: the task needed more memory than its thread may have';
  return `ThreadEnded: the task ended its thread${code === undefined ? '' : ` (exit code ${code}; a task must not call process.exit)`}`;
}
