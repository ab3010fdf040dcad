/** Whose turn it is: lanes with work are asked one after the other, and none goes on for long while others wait. */
import type { Lane } from './lane.ts';

/** For how long a lane may go on taking jobs while others have work, too, in milliseconds: a job at least. */
const TURN_MS = 5;

export class LaneTurns {
  readonly #lanes: readonly Lane[];
  /** The lane whose turn it is, or was last. */
  #current: Lane | undefined;
  /** By `performance.now()`. */
  readonly #ends = new Map<Lane, number>();

  constructor(lanes: readonly Lane[]) {
    this.#lanes = lanes;
  }

  get current(): Lane | undefined {
    return this.#current;
  }

  begin(lane: Lane): void {
    this.#current = lane;
    this.#ends.set(lane, performance.now() + TURN_MS);
  }

  /** Whether the lane has had its time. */
  isOver(lane: Lane): boolean {
    return performance.now() >= (this.#ends.get(lane) ?? 0);
  }

  /** The lane after the current one that may have work: the current one itself where no other has. */
  next(): Lane | undefined {
    const { length } = this.#lanes;
    const current = this.#current === undefined ? -1 : this.#lanes.indexOf(this.#current);
    for (let step = 1; step <= length; step += 1) {
      const lane = this.#lanes[(current + step) % length];
      if (lane?.mayHaveWork) return lane;
    }
    return undefined;
  }
}
