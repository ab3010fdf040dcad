/** Memory that the consumer and its threads share: for each slot, what its job must know at once and without a message. */

/** What a job is asked to do, as `ctx.check()` sees it. */
export const Request = { none: 0, softStop: 1, revoke: 2 } as const;
export type Request = (typeof Request)[keyof typeof Request];

// As they were before any task could replace them: what a thread says here must not fail.
const { compareExchange, load, store } = Atomics;
const clock = process.hrtime.bigint;

const CELLS = 3;
const REQUEST = 0;
const THREAD = 1;
const EXIT = 2;

/** When the job began, and how long it took. */
const TIMES = 2;
const BEGAN = 0;
const TOOK = 1;

/** In place of a thread: the slot's job is not to begin any more. */
const RECALLED = -1;

/** The buffers behind the slots, as they are handed to a thread. */
export interface SlotBuffers {
  cells: SharedArrayBuffer;
  times: SharedArrayBuffer;
}

export class Slots {
  readonly buffers: SlotBuffers;
  readonly #cells: Int32Array;
  readonly #times: Float64Array;

  /** @param from how many slots to make room for, or the buffers of existing ones */
  constructor(from: number | SlotBuffers) {
    this.buffers =
      typeof from === 'number'
        ? {
            cells: new SharedArrayBuffer(from * CELLS * Int32Array.BYTES_PER_ELEMENT),
            times: new SharedArrayBuffer(from * TIMES * Float64Array.BYTES_PER_ELEMENT),
          }
        : from;
    this.#cells = new Int32Array(this.buffers.cells);
    this.#times = new Float64Array(this.buffers.times);
  }

  /** Consumer: prepares a slot for its next job. */
  reset(slot: number): void {
    this.#times[slot * TIMES + BEGAN] = 0;
    this.#times[slot * TIMES + TOOK] = Number.NaN;
    for (let cell = 0; cell < CELLS; cell += 1) store(this.#cells, slot * CELLS + cell, 0);
  }

  /** Thread: says that the slot's job begins now, on this thread. False when it is not to begin any more. */
  begin(slot: number, threadId: number): boolean {
    this.#times[slot * TIMES + BEGAN] = monotonicMs();
    return compareExchange(this.#cells, slot * CELLS + THREAD, 0, threadId) === 0;
  }

  /** Consumer: keeps the slot's job from beginning. False when it has begun. */
  recall(slot: number): boolean {
    return compareExchange(this.#cells, slot * CELLS + THREAD, 0, RECALLED) <= 0;
  }

  /** Consumer: the thread that runs the slot's job, or 0 when none has begun it. */
  threadOf(slot: number): number {
    return Math.max(0, load(this.#cells, slot * CELLS + THREAD));
  }

  /** Consumer: for how many milliseconds the slot's job has run, or undefined when it has not begun. */
  elapsedMs(slot: number): number | undefined {
    return this.threadOf(slot) === 0 ? undefined : monotonicMs() - (this.#times[slot * TIMES + BEGAN] ?? 0);
  }

  /** Thread: says that the slot's job has ended. */
  end(slot: number): void {
    this.#times[slot * TIMES + TOOK] = monotonicMs() - (this.#times[slot * TIMES + BEGAN] ?? 0);
  }

  /** Consumer: for how many milliseconds the slot's job ran, or undefined when it did not run to its end. */
  tookMs(slot: number): number | undefined {
    const ms = this.#times[slot * TIMES + TOOK];
    return ms === undefined || Number.isNaN(ms) ? undefined : ms;
  }

  /** Consumer: asks the slot's job for something. A later request never weakens an earlier one. */
  request(slot: number, request: Request): void {
    const cell = slot * CELLS + REQUEST;
    if (request > load(this.#cells, cell)) store(this.#cells, cell, request);
  }

  /** Thread: what is asked of the slot's job. Costs nanoseconds. */
  requested(slot: number): number {
    return load(this.#cells, slot * CELLS + REQUEST);
  }

  /** Thread: says that the slot's job is about to end the whole thread with this exit code. */
  blame(slot: number, exitCode: number): void {
    store(this.#cells, slot * CELLS + EXIT, 1 + (exitCode & 0xff));
  }

  /** Consumer: the exit code with which the slot's job ended its thread, if it did. */
  blamed(slot: number): number | undefined {
    const cell = load(this.#cells, slot * CELLS + EXIT);
    return cell === 0 ? undefined : cell - 1;
  }
}

/** Milliseconds of a clock that all threads of a machine share and that no correction of the time moves. */
function monotonicMs(): number {
  return Number(clock()) / 1e6;
}
