/** The threads that run jobs. The only module that knows Piscina. */
import { BroadcastChannel, type Worker } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { messageOf } from '../../shared/errors.ts';
import { REQUEST_SOFT_STOP, Slots } from './slots.ts';
import { CONTROL_CHANNEL, type ControlMessage, type JobRequest, type ThreadMessage, type ThreadOutcome, type ThreadSettings } from './thread-protocol.ts';

export interface ThreadPoolOptions {
  /** Jobs at once; in this pool each has a thread of its own. */
  slots: number;
  /** Jobs after which a thread is replaced. */
  maxJobsPerThread: number;
  tasksDir: string;
  onMessage: (message: ThreadMessage) => void;
  onError: (reason: string) => void;
}

/** How a job left its thread: with an outcome, or because the thread ended under it. */
export type RunEnd = ThreadOutcome | { threadEnded: string };

/** A job on its thread. */
export interface Run {
  /** Settles when the job is over and its slot may be used again. Never rejects. */
  readonly end: Promise<RunEnd>;
  /** For how many milliseconds the task has run; undefined before it begins. */
  elapsedMs(): number | undefined;
  /** Asks the task to stop: aborts `ctx.signal`, makes `ctx.check()` throw. */
  softStop(): void;
  /** Ends the thread, whatever it does. False when the job has not begun yet. */
  terminate(): boolean;
}

const threadFile = new URL(import.meta.url.endsWith('.ts') ? './task-thread.ts' : './task-thread.js', import.meta.url).href;

export class ThreadPool {
  readonly #options: ThreadPoolOptions;
  readonly #slots: Slots;
  readonly #freeSlots: number[];
  readonly #pool: Piscina;
  readonly #control: BroadcastChannel;
  readonly #threads = new Map<number, { worker: Worker; jobs: number }>();
  /** Threads that take no further job and are ended once they have none. */
  readonly #retiring = new Set<number>();

  constructor(options: ThreadPoolOptions) {
    this.#options = options;
    this.#slots = new Slots(options.slots);
    this.#freeSlots = Array.from({ length: options.slots }, (_, index) => options.slots - 1 - index);
    this.#control = new BroadcastChannel(`${CONTROL_CHANNEL}-${process.pid}`);
    this.#control.unref();
    const settings: ThreadSettings = { slots: this.#slots.buffers, tasksDir: options.tasksDir };
    this.#pool = new Piscina<JobRequest, ThreadOutcome>({
      filename: threadFile,
      workerData: settings,
      minThreads: options.slots,
      maxThreads: options.slots,
      idleTimeout: Number.POSITIVE_INFINITY,
      concurrentTasksPerWorker: 1,
      // 'sync' would block a thread's event loop between jobs.
      atomics: 'disabled',
      loadBalancer: (_, workers) => workers.find((worker) => worker.currentUsage === 0 && !this.#retiring.has(worker.id)) ?? null,
    });
    this.#pool.on('workerCreate', ({ id }: { id: number }) => this.#adopt(id));
    this.#pool.on('message', options.onMessage);
    // Without a listener a throw in an idle thread would end the consumer.
    this.#pool.on('error', (error: unknown) => options.onError(messageOf(error)));
  }

  /** Starts a job. The caller never starts more than `slots` at once. */
  run(request: Omit<JobRequest, 'slot'>): Run {
    const slot = this.#freeSlots.pop();
    if (slot === undefined) throw new Error(`all ${this.#options.slots} slots are taken`);
    this.#slots.reset(slot);
    return {
      end: this.#runToEnd({ ...request, slot }).finally(() => this.#freeSlots.push(slot)),
      elapsedMs: () => this.#slots.elapsedMs(slot),
      softStop: () => {
        this.#slots.request(slot, REQUEST_SOFT_STOP);
        const message: ControlMessage = { slot, id: request.id };
        this.#control.postMessage(message);
      },
      terminate: () => {
        const thread = this.#threads.get(this.#slots.threadOf(slot));
        void thread?.worker.terminate();
        return thread !== undefined;
      },
    };
  }

  async #runToEnd(request: JobRequest): Promise<RunEnd> {
    try {
      const outcome: ThreadOutcome = await this.#pool.run(request);
      await this.#retireIfDue(this.#slots.threadOf(request.slot), outcome.replace === true);
      return outcome;
    } catch (error) {
      return { threadEnded: messageOf(error) };
    }
  }

  /** Ends a thread that has done its share or is not fit for another job; its slot waits for that. */
  async #retireIfDue(threadId: number, replace: boolean): Promise<void> {
    const thread = this.#threads.get(threadId);
    if (thread === undefined) return;
    thread.jobs += 1;
    if (!replace && thread.jobs < this.#options.maxJobsPerThread) return;
    this.#retiring.add(threadId);
    await thread.worker.terminate();
  }

  #adopt(id: number): void {
    const worker = this.#pool.threads.find(({ threadId }) => threadId === id);
    if (worker === undefined) return;
    this.#threads.set(id, { worker, jobs: 0 });
    worker.once('exit', () => {
      this.#threads.delete(id);
      this.#retiring.delete(id);
    });
  }

  /** Ends all threads. Safe to call twice. */
  async stop(): Promise<void> {
    this.#control.close();
    await this.#pool.destroy();
  }
}
