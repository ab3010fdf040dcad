/**
 * The last resort for the hard limit. A thread that is inside a native call (pbkdf2Sync and the like) cannot be terminated; only the
 * end of the process ends it. So the consumer takes nothing new, hands its other jobs back, writes down how the stuck job ended
 * and kills itself; its supervisor starts it again.
 */
import { messageOf } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import type { RunningJob } from './running-job.ts';

/** How long handing back may take, in milliseconds: with the 500 ms before it, the process is gone 1 s after the limit. */
const HAND_BACK_MS = 350;

export interface StuckThreadsOptions {
  log: Logger;
  takeNothing: () => void;
  handBackOthers: () => void;
  /** Writes down the end of a job whose thread goes on. */
  finish: (job: RunningJob) => Promise<void>;
}

export class StuckThreads {
  readonly #options: StuckThreadsOptions;
  readonly #jobs = new Set<RunningJob>();

  constructor(options: StuckThreadsOptions) {
    this.#options = options;
  }

  /** Takes a job whose thread does not end; the process does not outlive the call for long. */
  take(job: RunningJob): void {
    this.#jobs.add(job);
    this.#options.log.error({ task: job.claim.lane.name, jobId: job.claim.id, cause: job.stopCause }, 'thread.stuck');
    if (this.#jobs.size > 1) return;
    this.#options.takeNothing();
    this.#options.handBackOthers();
    setTimeout(() => void this.#end(), HAND_BACK_MS);
  }

  async #end(): Promise<void> {
    setTimeout(kill, HAND_BACK_MS / 3);
    try {
      await Promise.all([...this.#jobs].map((job) => this.#options.finish(job)));
    } catch (error) {
      this.#options.log.error({ reason: messageOf(error) }, 'thread.stuck_not_finished');
    }
    kill();
  }
}

/** An ordinary exit would wait for the native call. */
function kill(): void {
  process.kill(process.pid, 'SIGKILL');
}
