import type { IncomingMessage } from 'node:http';
import type { JobView } from '../../shared/job-state.ts';
import type { EndListener, JobEnds } from './job-ends.ts';

/** More requests than this do not wait in one process: they are answered with what is known. */
const MOST_WAITING = 20_000;

/** A longer time is none that a timer knows. */
const LONGEST_MS = 2 ** 31 - 1;

/** A client that waits; `stop` sends it away. */
interface Waiter {
  stop(): void;
}

/** The clients that wait for jobs. All are sent away when the process stops. */
export class Waiters {
  readonly #waiting = new Set<Waiter>();
  #stopped = false;

  /** How many wait. */
  get size(): number {
    return this.#waiting.size;
  }

  get full(): boolean {
    return this.size >= MOST_WAITING;
  }

  /** Keeps a client, unless the process stops or there are too many: then false, and it is not kept. */
  add(waiter: Waiter): boolean {
    if (this.#stopped || this.full) return false;
    this.#waiting.add(waiter);
    return true;
  }

  delete(waiter: Waiter): void {
    this.#waiting.delete(waiter);
  }

  stop(): void {
    this.#stopped = true;
    for (const waiter of this.#waiting) waiter.stop();
  }
}

/** A request that waits for the end of one job. Whoever makes one stops it. */
export class Waiting implements EndListener {
  /** Resolves with the end of the job as soon as it is told; with undefined when the time is up, or nothing is to be waited for any more. */
  readonly end: Promise<JobView | undefined>;
  readonly #ends: JobEnds;
  readonly #waiters: Waiters;
  readonly #socket: IncomingMessage['socket'];
  readonly #id: string;
  readonly #timer: NodeJS.Timeout;
  #settle: (view?: JobView) => void = () => {};

  /** @param ms how long at most, in milliseconds */
  constructor({ ends, waiters }: { ends: JobEnds; waiters: Waiters }, { socket }: IncomingMessage, id: string, ms: number) {
    this.end = new Promise((resolve) => {
      this.#settle = resolve;
    });
    this.#ends = ends;
    this.#waiters = waiters;
    this.#socket = socket;
    this.#id = id;
    this.#timer = setTimeout(this.#giveUp, Math.min(ms, LONGEST_MS));
    // Not the response's own event: one that is pipelined behind another has none.
    socket.on('close', this.#giveUp);
    if (socket.destroyed || !waiters.add(this)) this.#giveUp();
  }

  ended(_id: string, view: JobView | undefined): void {
    this.#settle(view);
  }

  readonly #giveUp = (): void => this.#settle();

  /** Waits no more. Safe to call twice. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#socket.off('close', this.#giveUp);
    this.#ends.unlisten(this.#id, this);
    this.#waiters.delete(this);
    this.#giveUp();
  }
}
