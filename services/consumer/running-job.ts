import type { Claim } from './claim.ts';
import type { LimitSeconds } from './limits.ts';
import type { Run } from './run.ts';
import { Request } from './slots.ts';

/** Why the consumer ended a job. The first cause holds. */
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

/** A thread that is still alive this long after it was terminated is held by a native call. */
const STUCK_MS = 500;

export interface RunningJobOptions {
  claim: Claim;
  run: Run;
  limits: LimitSeconds;
  /** Called when the job's thread does not end. */
  onStuck: (job: RunningJob) => void;
}

/** A job that holds a slot. */
export class RunningJob {
  readonly claim: Claim;
  readonly run: Run;
  readonly limits: LimitSeconds;
  readonly #onStuck: (job: RunningJob) => void;
  readonly #startedAt = performance.now();
  #stopCause: StopCause | undefined;
  #inGrace = false;
  #timer: NodeJS.Timeout | undefined;
  #durationMs: number | undefined;
  /** What is done for the job after it has left its thread. */
  #afterwards: AbortController | undefined;

  constructor({ claim, run, limits, onStuck }: RunningJobOptions) {
    this.claim = claim;
    this.run = run;
    this.limits = limits;
    this.#onStuck = onStuck;
  }

  get stopCause(): StopCause | undefined {
    return this.#stopCause;
  }

  /** Milliseconds from the hand-over until the end, or until now. */
  get durationMs(): number {
    return Math.round(this.#durationMs ?? performance.now() - this.#startedAt);
  }

  /**
   * Ends the job's thread or process, after a grace in which the job may end by itself. One that has not begun is ended as soon
   * as it does: its thread is not known before.
   */
  stop(cause: StopCause, graceMs = 0): void {
    if (this.#durationMs !== undefined) return;
    if (this.#stopCause !== undefined) {
      // The hard limit holds during a grace, too.
      if (cause === 'limit' && this.#inGrace) this.#terminate();
      return;
    }
    this.#stopCause = cause;
    if (this.#afterwards !== undefined) return this.#afterwards.abort();
    // What has not begun needs no grace to end in.
    if (this.run.recall()) return;
    if (cause === 'revoked') this.run.request(Request.revoke);
    this.#inGrace = graceMs > 0;
    if (this.#inGrace) this.#timer = setTimeout(() => this.#terminate(), graceMs);
    else this.#terminate();
  }

  #terminate(): void {
    this.#inGrace = false;
    clearTimeout(this.#timer);
    if (this.run.recall()) return;
    const begun = this.run.terminate();
    this.#timer = setTimeout(() => (begun ? this.#onStuck(this) : this.#terminate()), begun ? STUCK_MS : NOT_BEGUN_MS);
  }

  /** The job has left its thread, which may have another one: from here on, what ends the job ends this signal. */
  leaveThread(): AbortSignal {
    this.#afterwards = new AbortController();
    return this.#afterwards.signal;
  }

  /** The job is over. */
  ended(): void {
    this.#durationMs = performance.now() - this.#startedAt;
    clearTimeout(this.#timer);
  }
}
