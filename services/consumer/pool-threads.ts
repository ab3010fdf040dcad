/** Which threads there are, how many are kept ready, and when one is replaced. */
import type { Worker } from 'node:worker_threads';

export interface Thread {
  readonly id: number;
  readonly worker: Worker;
  /** By `performance.now()`. */
  readonly startedAt: number;
  /** Jobs that were posted to it and have not ended, those that have not begun included. */
  readonly usage: () => number;
  /** Jobs that ended in it. */
  jobs: number;
  /** Takes no further job and is ended once it has none. */
  retiring: boolean;
  /** It was ended because it was due, and not because of a job. */
  retired: boolean;
  /** A job left something behind in it. */
  tainted: boolean;
  /** Slots for whose jobs the thread is being ended. */
  readonly condemned: Set<number>;
}

/** Threads more than are in use: a terminated one's slot is used again at once, not after the start of another (100 ms). */
const SPARE_THREADS = 1;

/** How long after a thread's start it is seen whether there is one too many, in milliseconds. */
const SETTLE_MS = 1000;

/** How long a thread whose job left something behind is kept, so that what it still throws is told, in milliseconds. */
const LATE_MS = 100;

export interface PoolThreadsOptions {
  /** Threads over which jobs are spread. */
  threads: number;
  /** Jobs after which a thread is replaced. */
  maxJobsPerThread: number;
  /** Milliseconds for which a thread lives at least before it is replaced for that reason: its start costs 60 to 100 ms of a core. */
  minThreadMs: number;
}

export class PoolThreads {
  /** Threads that are kept ready. */
  readonly kept: number;
  readonly #options: PoolThreadsOptions;
  readonly #threads = new Map<number, Thread>();

  constructor(options: PoolThreadsOptions) {
    this.#options = options;
    this.kept = options.threads + SPARE_THREADS;
  }

  get(id: number | undefined): Thread | undefined {
    return id === undefined ? undefined : this.#threads.get(id);
  }

  /** @param usage jobs that it has */
  add(id: number, worker: Worker, usage: () => number): Thread {
    const thread: Thread = {
      id,
      worker,
      startedAt: performance.now(),
      usage,
      jobs: 0,
      retiring: false,
      retired: false,
      tainted: false,
      condemned: new Set(),
    };
    this.#threads.set(id, thread);
    setTimeout(() => this.#shrink(), SETTLE_MS).unref();
    return thread;
  }

  delete({ id }: Thread): void {
    this.#threads.delete(id);
  }

  /** Counts a job; retires a thread that has done its share, is not fit for another job, or is one too many. */
  jobEnded(thread: Thread, replace: boolean): void {
    thread.jobs += 1;
    thread.tainted ||= replace;
    if (thread.tainted || this.#isDue(thread)) thread.retiring = true;
    if (!thread.retiring) return;
    if (thread.tainted) setTimeout(() => this.#retire(thread), LATE_MS);
    else this.#retire(thread);
  }

  /** Ends a thread that has no job. Piscina may have posted one before the thread was known to retire: that one's end comes here again. */
  #retire(thread: Thread): void {
    if (thread.usage() > 0) return;
    thread.retired = true;
    void thread.worker.terminate();
  }

  /** Whether a thread that has just ended a job is to be replaced, because it has done its share or is one too many. */
  #isDue(thread: Thread): boolean {
    const others = [...this.#threads.values()].filter((other) => other !== thread && !other.retiring);
    if (!this.#hasDoneItsShare(thread, 0)) return others.length >= this.kept && others.every((other) => !this.#hasDoneItsShare(other, 0));
    // Threads that were started together are due together: one after the other, so that no job has to wait for the start of another.
    const settled = others.filter(({ startedAt }) => performance.now() - startedAt >= SETTLE_MS);
    return this.#isExact || settled.length >= this.#options.threads;
  }

  /** Whether a thread may run so many jobs and not one more. */
  get #isExact(): boolean {
    return this.#options.minThreadMs === 0;
  }

  /** @param usage jobs that it has now, which count as done */
  #hasDoneItsShare(thread: Thread, usage: number): boolean {
    const { maxJobsPerThread, minThreadMs } = this.#options;
    return thread.jobs + usage >= maxJobsPerThread && performance.now() - thread.startedAt >= minThreadMs;
  }

  /** Whether a thread may be given another job beside those that it has. */
  takesJobs(id: number, usage: number): boolean {
    const thread = this.#threads.get(id);
    return thread?.retiring === false && !(this.#isExact && this.#hasDoneItsShare(thread, usage));
  }

  /** Piscina starts a thread for a job that finds none free; when there are too many and no further job ends, an idle one goes here. */
  #shrink(): void {
    const inUse = [...this.#threads.values()].filter(({ retiring }) => !retiring);
    const allIdle = inUse.filter(({ usage }) => usage() === 0);
    const idle = allIdle.find((thread) => this.#hasDoneItsShare(thread, 0)) ?? allIdle[0];
    if (inUse.length <= this.kept || idle === undefined) return;
    idle.retiring = true;
    this.#retire(idle);
  }
}
