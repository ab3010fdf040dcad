/** The threads that run jobs, one or many at a time in each. The only module that knows Piscina. */
import { BroadcastChannel } from 'node:worker_threads';
import { Piscina, type PiscinaTask, queueOptionsSymbol } from 'piscina';
import { messageOf } from '../../shared/errors.ts';
import { PoolThreads, type PoolThreadsOptions, type Thread } from './pool-threads.ts';
import type { PlaceOptions, Run, RunEnd, RunPlace } from './run.ts';
import { type Request, Slots } from './slots.ts';
import {
  type Chain,
  type ChainEnd,
  type ChainLink,
  CONTROL_CHANNEL,
  type ControlMessage,
  isChainLink,
  isThreadMessage,
  type JobRequest,
  type ThreadSettings,
} from './thread-protocol.ts';

export interface ThreadPoolOptions extends PlaceOptions, PoolThreadsOptions {
  /** Jobs at once. */
  slots: number;
  /** MiB of heap that a thread may have before Node ends it. */
  heapLimit: number;
  /** A thread ended that ran no job; Piscina starts no other in place of one that did not even begin. */
  onError: (reason: string, threadsLeft: number) => void;
}

/** A job that has not ended, as far as is known here. */
interface Unsettled {
  readonly id: string;
  readonly settle: (end: RunEnd) => void;
  /** Its chain has been told to be over: its own end is on its way. */
  isTold: boolean;
}

/** Jobs that may be given to a thread at once, to be run one after another. */
export const LONGEST_CHAIN = 8;

/** How often it is looked whether a chain stands behind what an earlier job has left spinning in its thread, in milliseconds. */
const BLOCKED_MS = 3000;

const threadFile = new URL(import.meta.url.endsWith('.ts') ? './task-thread.ts' : './task-thread.js', import.meta.url).href;

export class ThreadPool implements RunPlace {
  readonly #slots: Slots;
  readonly #freeSlots: number[];
  /** How jobs left threads that ended under them, by slot. */
  readonly #verdicts = new Map<number, RunEnd>();
  /** The jobs that have not ended, by slot. */
  readonly #unsettled = new Map<number, Unsettled>();
  /** What is told when a slot is free again, by slot. */
  readonly #leaving = new Map<number, () => void>();
  /** Threads that jobs were given to, by slot; none for one that waits for a thread. */
  readonly #given = new Map<number, number>();
  readonly #pool: Piscina;
  readonly #control: BroadcastChannel;
  readonly #threads: PoolThreads;

  constructor(options: ThreadPoolOptions) {
    const slots = options.slots * LONGEST_CHAIN;
    this.#slots = new Slots(slots);
    this.#freeSlots = Array.from({ length: slots }, (_, index) => slots - 1 - index);
    this.#control = new BroadcastChannel(`${CONTROL_CHANNEL}-${process.pid}`);
    this.#control.unref();
    const settings: ThreadSettings = {
      slots: this.#slots.buffers,
      tasksDir: options.tasksDir,
      filesDir: options.filesDir,
      remoteFiles: options.remoteFiles,
    };
    this.#threads = new PoolThreads(options);
    const jobsPerThread = Math.ceil(options.slots / options.threads);
    this.#pool = new Piscina<Chain, ChainEnd>({
      filename: threadFile,
      workerData: settings,
      minThreads: this.#threads.kept,
      // A retiring thread lives on beside its successor until its last job is done.
      maxThreads: this.#threads.kept * 2,
      idleTimeout: Number.POSITIVE_INFINITY,
      concurrentTasksPerWorker: jobsPerThread,
      resourceLimits: { maxOldGenerationSizeMb: options.heapLimit },
      // 'sync' would block a thread's event loop between jobs.
      atomics: 'disabled',
      loadBalancer: (task, workers) => {
        const fit = workers.filter(({ id, currentUsage }) => currentUsage < jobsPerThread && this.#threads.takesJobs(id, currentUsage));
        const picked = fit.reduce<(typeof fit)[number] | null>(
          (least, next) => (least === null || next.currentUsage < least.currentUsage ? next : least),
          null,
        );
        if (picked !== null) for (const { slot } of chainOf(task)) this.#given.set(slot, picked.id);
        return picked;
      },
    });
    this.#pool.on('workerCreate', (worker: { id: number; currentUsage: number }) => this.#adopt(worker));
    this.#pool.on('message', (message: unknown) => {
      // A task can post what it likes to its thread's parent.
      try {
        if (isChainLink(message)) this.#take(message);
        else if (isThreadMessage(message)) options.onMessage(message);
      } catch (error) {
        options.onError(messageOf(error), this.#pool.threads.length);
      }
    });
    // Without a listener a throw in an idle thread would end the consumer.
    this.#pool.on('error', (error: unknown) => options.onError(messageOf(error), this.#pool.threads.length));
  }

  /** Starts a job. The caller never has more runs than `slots` that have not left, a chain counting as one. */
  run(request: Omit<JobRequest, 'slot'>): Run {
    const [run] = this.runChain([request]);
    if (run === undefined) throw new Error('expected one run for one job');
    return run;
  }

  /** Starts jobs that run one after another in the same thread: LONGEST_CHAIN at the most. */
  runChain(requests: readonly Omit<JobRequest, 'slot'>[]): Run[] {
    const { length } = requests;
    if (length > this.#freeSlots.length) throw new Error(`expected ${length} free slots, got ${this.#freeSlots.length}`);
    const taken = this.#freeSlots.splice(-length);
    const chain = requests.map((request, index) => ({ ...request, slot: taken[index] as number }));
    const runs = chain.map(({ slot, id }) => this.#runOf(slot, id));
    void this.#runToEnd(chain);
    return runs;
  }

  #runOf(slot: number, id: string): Run {
    this.#slots.reset(slot);
    return {
      end: new Promise((settle) => this.#unsettled.set(slot, { id, settle, isTold: false })),
      left: new Promise((leave) => this.#leaving.set(slot, leave)),
      elapsedMs: () => this.#slots.elapsedMs(slot),
      tookMs: () => this.#slots.tookMs(slot),
      request: (asked) => this.#request(slot, id, asked),
      answer: (fetched) => this.#tell({ slot, id, fetched }),
      terminate: () => this.#terminate(slot),
      recall: () => this.#recall(slot, id),
    };
  }

  #settle(slot: number, end: RunEnd): void {
    const job = this.#unsettled.get(slot);
    this.#unsettled.delete(slot);
    job?.settle(end);
    if (job?.isTold) this.#release(slot);
  }

  #release(slot: number): void {
    this.#verdicts.delete(slot);
    this.#given.delete(slot);
    this.#freeSlots.push(slot);
    this.#leaving.get(slot)?.();
    this.#leaving.delete(slot);
  }

  /** Takes the outcome of a job, once; a task may have posted what looks like one. */
  #take({ slot, id, outcome }: ChainLink): void {
    if (this.#unsettled.get(slot)?.id !== id) return;
    const thread = this.#threads.get(this.#slots.threadOf(slot));
    if (thread !== undefined) this.#threads.jobEnded(thread, outcome.replace === true);
    this.#settle(slot, outcome);
  }

  #request(slot: number, id: string, request: Request): void {
    this.#slots.request(slot, request);
    this.#tell({ slot, id, request });
  }

  #tell(message: ControlMessage): void {
    this.#control.postMessage(message);
  }

  /** Its slot stays taken until its chain is over, because the thread still has to pass it over. */
  #recall(slot: number, id: string): boolean {
    // One that has ended may have left its slot to another.
    if (this.#unsettled.get(slot)?.id !== id || !this.#slots.recall(slot)) return false;
    this.#settle(slot, { innocent: true, suspect: false });
    return true;
  }

  #terminate(slot: number): boolean {
    const thread = this.#threads.get(this.#slots.threadOf(slot));
    if (thread === undefined) return false;
    thread.condemned.add(slot);
    thread.retiring = true;
    void thread.worker.terminate();
    return true;
  }

  async #runToEnd(chain: readonly JobRequest[]): Promise<void> {
    const look = setInterval(() => this.#unblock(chain), BLOCKED_MS);
    try {
      // What Piscina shows the balancer of a task; it does not travel with it.
      const { last, ran } = await this.#pool.run(Object.assign(chain, { [queueOptionsSymbol]: chain }));
      if (last !== undefined) this.#take(last);
      // Left over where the thread was not to run another job. The ends of those that ran come on another way.
      for (const { slot } of chain) if (!ran.includes(slot)) this.#settle(slot, { innocent: true, suspect: false });
    } catch {
      for (const { slot } of chain)
        if (this.#unsettled.has(slot)) this.#settle(slot, this.#verdicts.get(slot) ?? this.#withoutVerdict(slot));
    }
    clearInterval(look);
    for (const { slot } of chain) {
      const job = this.#unsettled.get(slot);
      if (job === undefined) this.#release(slot);
      else job.isTold = true;
    }
  }

  /**
   * Decides for each job of a thread that ended whether it is the culprit. Runs inside the thread's event, before Piscina's
   * rejections are seen. A thread that was ended for a job may have gone on to the next one meanwhile: then nobody else is.
   */
  #judge(thread: Thread, reason: string): void {
    const slots = this.#slotsOf(thread);
    const guilty = slots.filter((slot) => thread.condemned.has(slot) || this.#slots.blamed(slot) !== undefined);
    for (const slot of slots) {
      if (this.#verdicts.has(slot)) continue;
      const code = this.#slots.blamed(slot);
      if (thread.retired) {
        this.#verdicts.set(slot, { innocent: true, suspect: false });
        continue;
      }
      const isKnown = guilty.length > 0 || thread.condemned.size > 0;
      if (guilty.includes(slot) || (slots.length === 1 && !isKnown))
        this.#verdicts.set(slot, { ended: code === undefined ? reason : `exit code ${code}` });
      else this.#verdicts.set(slot, { innocent: true, suspect: !isKnown });
    }
  }

  #slotsOf(thread: Thread): number[] {
    return [...this.#unsettled.keys()].filter((slot) => this.#slots.threadOf(slot) === thread.id);
  }

  /** The thread lives, but the job had not begun, or not even its wrapper could end it: then the thread is spoilt, and nobody knows by which job. */
  #withoutVerdict(slot: number): RunEnd {
    const thread = this.#threads.get(this.#slots.threadOf(slot));
    if (thread === undefined) return { innocent: true, suspect: false };
    thread.retiring = true;
    void thread.worker.terminate();
    return { innocent: true, suspect: true };
  }

  /** Ends the thread that was given a chain and does not go on with it although it runs no job: an earlier one has left it spinning. */
  #unblock([first]: readonly JobRequest[]): void {
    const thread = this.#threads.get(this.#given.get(first?.slot ?? -1));
    if (thread === undefined || this.#slotsOf(thread).length > 0) return;
    thread.retired = true;
    thread.retiring = true;
    void thread.worker.terminate();
  }

  #adopt(created: { id: number; currentUsage: number }): void {
    const { id } = created;
    const worker = this.#pool.threads.find(({ threadId }) => threadId === id);
    if (worker === undefined || this.#threads.get(id) !== undefined) return;
    const thread = this.#threads.add(id, worker, () => created.currentUsage);
    worker.once('error', (error: unknown) => this.#judge(thread, messageOf(error)));
    worker.once('exit', (code) => {
      this.#judge(thread, `exit code ${code}`);
      this.#threads.delete(thread);
    });
  }

  async stop(): Promise<void> {
    this.#control.close();
    await this.#pool.destroy();
  }
}

function chainOf(task: PiscinaTask): readonly JobRequest[] {
  const chain = task[queueOptionsSymbol];
  return Array.isArray(chain) ? chain : [];
}
