import type { Claim } from './lane.ts';
import type { LimitSeconds } from './limits.ts';
import type { Run } from './thread-pool.ts';

/** Why the consumer ended a job's thread. The first cause holds. */
export type StopCause =
  /** The hard limit. */
  | 'limit'
  /** The job was revoked; its state stands already. */
  | 'revoked'
  /** The lock is gone: another consumer has the job, or will. */
  | 'lost'
  /** The consumer stops and gives the job back to the queue. */
  | 'handed_back';

/** How often the end of a thread is tried again whose job has not begun, in milliseconds. */
const NOT_BEGUN_MS = 10;

/** A job that holds a slot. */
export class RunningJob {
  readonly claim: Claim;
  readonly run: Run;
  readonly limits: LimitSeconds;
  readonly #startedAt = performance.now();
  #stopCause: StopCause | undefined;
  #timer: NodeJS.Timeout | undefined;
  #durationMs: number | undefined;

  constructor(claim: Claim, run: Run, limits: LimitSeconds) {
    this.claim = claim;
    this.run = run;
    this.limits = limits;
  }

  get stopCause(): StopCause | undefined {
    return this.#stopCause;
  }

  /** Milliseconds from the hand-over to the thread until the end, or until now. */
  get durationMs(): number {
    return Math.round(this.#durationMs ?? performance.now() - this.#startedAt);
  }

  /** Ends the job's thread. A job that has not begun is ended as soon as it does: its thread is not known before. */
  stop(cause: StopCause): void {
    if (this.#stopCause !== undefined || this.#durationMs !== undefined) return;
    this.#stopCause = cause;
    this.#terminate();
  }

  #terminate(): void {
    if (!this.run.terminate()) this.#timer = setTimeout(() => this.#terminate(), NOT_BEGUN_MS);
  }

  /** The thread has ended or given its outcome. */
  ended(): void {
    this.#durationMs = performance.now() - this.#startedAt;
    clearTimeout(this.#timer);
  }
}
