/**
 * Tells whoever waits here how their jobs ended: all of them over one subscription, each job asked for once. A message may be lost, so
 * what is waited for is read again now and then, and at once when the subscription is a new one.
 */
import { messageOf } from '../../shared/errors.ts';
import { revokeChannel } from '../../shared/job-scripts.ts';
import { hasEnded, type JobView } from '../../shared/job-state.ts';
import type { Jobs } from '../../shared/jobs.ts';
import type { Logger } from '../../shared/logger.ts';
import type { RedisListener } from '../../shared/redis.ts';
import { parseReply, replyChannel } from '../../shared/replies.ts';

/** Who waits for the ends of jobs. An object and not a function: thousands wait, and most of them for one job. */
export interface EndListener {
  /** Called once for each job that is listened for. @param view undefined: there is no such job any more */
  ended(id: string, view: JobView | undefined): void;
}

/** When a job that is waited for is read again, and how often that is looked at, in milliseconds. */
const READ_AGAIN_MS = 10_000;
const LOOK_MS = 1000;

/** With very many jobs it takes longer: 1,000 readings a second are enough. */
const MS_PER_JOB = 1;
const READ_AT_ONCE = 500;

interface WaitedFor {
  task: string;
  listeners: Set<EndListener>;
  /** When it was read last, by performance.now(). */
  readAt: number;
  /** Whether it was there. Whoever submits a job listens before, and must not hear that there is none. */
  found: boolean;
}

export interface JobEndsOptions {
  /** Shared with other listeners of the process. */
  subscriber: RedisListener;
  prefix: string;
  /** Unlike that of any other process. */
  processId: string;
  /** Throws while this process cannot serve jobs. */
  jobs: () => Jobs;
  log: Logger;
}

export class JobEnds {
  /** What a job's `replyTo` must be for its end to be told here. */
  readonly channel: string;
  readonly #options: JobEndsOptions;
  readonly #revokes: string;
  /** By id, in the order in which they are read again. */
  readonly #waitedFor = new Map<string, WaitedFor>();
  #timer: NodeJS.Timeout | undefined;
  #reading = false;
  #missed = false;

  constructor(options: JobEndsOptions) {
    this.#options = options;
    this.channel = replyChannel(options.prefix, options.processId);
    this.#revokes = revokeChannel(options.prefix);
  }

  /** How many jobs are waited for. */
  get size(): number {
    return this.#waitedFor.size;
  }

  /** Starts to hear; returns at once, also while Redis is away. */
  start(): void {
    const { subscriber } = this.#options;
    subscriber.on('message', this.#onMessage);
    subscriber.on('ready', this.#subscribe);
    this.#subscribe();
    this.#timer = setInterval(() => void this.#readDue(), LOOK_MS);
  }

  /** Safe to call twice. Nobody is told that nothing comes any more. */
  stop(): void {
    clearInterval(this.#timer);
    this.#options.subscriber.off('message', this.#onMessage).off('ready', this.#subscribe);
  }

  /** Listens for the end of a job that is submitted after this with `channel` as its `replyTo`. */
  listen(task: string, id: string, listener: EndListener): void {
    let job = this.#waitedFor.get(id);
    if (job === undefined) {
      job = { task, listeners: new Set(), readAt: performance.now(), found: false };
      this.#waitedFor.set(id, job);
    }
    job.listeners.add(listener);
  }

  /**
   * Listens for the end of a job that there is, unless it has ended.
   * @returns the job as it is now; undefined when there is none, and then nobody listens
   * @throws RedisUnavailableError
   */
  async watch(task: string, id: string, listener: EndListener): Promise<JobView | undefined> {
    const early = new Early();
    // The end may be told before the answer is here.
    this.listen(task, id, early);
    try {
      const view = await this.#read(task, id);
      if (view === undefined || hasEnded(view.state)) return view;
      if (early.told) return early.view && { ...view, ...early.view };
      this.listen(task, id, listener);
      return view;
    } finally {
      this.unlisten(id, early);
    }
  }

  /** Harmless when nobody listens. */
  unlisten(id: string, listener: EndListener): void {
    const job = this.#waitedFor.get(id);
    if (job?.listeners.delete(listener) && job.listeners.size === 0) this.#waitedFor.delete(id);
  }

  /** Until the subscription stands, messages pass unheard. */
  readonly #subscribe = (): void => {
    this.#options.subscriber.subscribe(this.channel, this.#revokes).then(
      () => {
        this.#missed = true;
        void this.#readDue();
      },
      () => {},
    );
  };

  readonly #onMessage = (channel: string, message: string): void => {
    if (channel === this.#revokes) return this.#readTold(message);
    if (channel !== this.channel) return;
    const { id, view } = parseReply(message);
    if (view === undefined) this.#readTold(id);
    else this.#tell(id, view);
  };

  /** A job has ended, and how is not in the message. */
  #readTold(id: string): void {
    const job = this.#waitedFor.get(id);
    if (job !== undefined) this.#read(job.task, id).catch(this.#onReadFailed);
  }

  /** Reads jobs that were not read for long; all of them where messages may have been missed. */
  async #readDue(): Promise<void> {
    if (this.#reading) return;
    this.#reading = true;
    try {
      let due: [string, WaitedFor][];
      do {
        if (this.#missed) for (const job of this.#waitedFor.values()) job.readAt = Number.NEGATIVE_INFINITY;
        this.#missed = false;
        due = this.#due();
        await Promise.all(due.map(([id, { task }]) => this.#read(task, id)));
      } while (this.#missed || due.length > 0);
    } catch (error) {
      this.#onReadFailed(error);
    } finally {
      this.#reading = false;
    }
  }

  #due(): [string, WaitedFor][] {
    const due: [string, WaitedFor][] = [];
    const latest = performance.now() - Math.max(READ_AGAIN_MS, MS_PER_JOB * this.#waitedFor.size);
    for (const entry of this.#waitedFor) {
      if (entry[1].readAt > latest || due.length === READ_AT_ONCE) break;
      due.push(entry);
    }
    return due;
  }

  /** It is read again in any case. */
  readonly #onReadFailed = (error: unknown): void => this.#options.log.debug({ reason: messageOf(error) }, 'job_ends.read_failed');

  async #read(task: string, id: string): Promise<JobView | undefined> {
    const view = await this.#options.jobs().watch(task, id, this.channel);
    const job = this.#waitedFor.get(id);
    if (job === undefined) return view;
    if (view === undefined ? job.found : hasEnded(view.state)) this.#tell(id, view);
    else {
      job.found ||= view !== undefined;
      job.readAt = performance.now();
      this.#waitedFor.delete(id);
      this.#waitedFor.set(id, job);
    }
    return view;
  }

  #tell(id: string, view: JobView | undefined): void {
    const job = this.#waitedFor.get(id);
    this.#waitedFor.delete(id);
    for (const listener of job?.listeners ?? []) listener.ended(id, view);
  }
}

/** Keeps what is told before anybody may hear it. */
class Early implements EndListener {
  told = false;
  view: JobView | undefined;

  ended(_id: string, view: JobView | undefined): void {
    this.told = true;
    this.view = view;
  }
}
