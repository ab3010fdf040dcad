/** Memory that the consumer and its threads share: for each slot, what its job must know at once and without a message. */

/** What a job is asked to do, as `ctx.check()` sees it. */
export const REQUEST_NONE = 0;
export const REQUEST_SOFT_STOP = 1;

const CELLS = 2;
const REQUEST = 0;
const THREAD = 1;

/** The buffers behind the slots, as they are handed to a thread. */
export interface SlotBuffers {
  cells: SharedArrayBuffer;
  times: SharedArrayBuffer;
}

export class Slots {
  readonly buffers: SlotBuffers;
  readonly #cells: Int32Array;
  readonly #times: Float64Array;

  constructor(from: number | SlotBuffers) {
    this.buffers =
      typeof from === 'number'
        ? { cells: new SharedArrayBuffer(from * CELLS * Int32Array.BYTES_PER_ELEMENT), times: new SharedArrayBuffer(from * Float64Array.BYTES_PER_ELEMENT) }
        : from;
    this.#cells = new Int32Array(this.buffers.cells);
    this.#times = new Float64Array(this.buffers.times);
  }

  /** Consumer: prepares a slot for its next job. */
  reset(slot: number): void {
    this.#times[slot] = 0;
    Atomics.store(this.#cells, slot * CELLS + THREAD, 0);
    Atomics.store(this.#cells, slot * CELLS + REQUEST, REQUEST_NONE);
  }

  /** Thread: says that the slot's job begins now, on this thread. */
  begin(slot: number, threadId: number): void {
    this.#times[slot] = monotonicMs();
    Atomics.store(this.#cells, slot * CELLS + THREAD, threadId);
  }

  /** Consumer: the thread that runs the slot's job, or 0 when none has begun it. */
  threadOf(slot: number): number {
    return Atomics.load(this.#cells, slot * CELLS + THREAD);
  }

  /** Consumer: for how many milliseconds the slot's job has run, or undefined when it has not begun. */
  elapsedMs(slot: number): number | undefined {
    return this.threadOf(slot) === 0 ? undefined : monotonicMs() - (this.#times[slot] ?? 0);
  }

  /** Consumer: asks the slot's job for something. */
  request(slot: number, request: number): void {
    Atomics.store(this.#cells, slot * CELLS + REQUEST, request);
  }

  /** Thread: what is asked of the slot's job. Costs nanoseconds. */
  requested(slot: number): number {
    return Atomics.load(this.#cells, slot * CELLS + REQUEST);
  }
}

/** Milliseconds of a clock that all threads of a machine share and that no correction of the time moves. */
function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
