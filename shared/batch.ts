/** What comes together leaves together: one command for many, without anybody waiting longer for it. */

/**
 * So many leave at once where no flight is under way: else the server would rest until all of a turn of the event loop have come, and this
 * process until all are answered.
 */
const FIRST_FLIGHT = 8;

export interface BatchOptions {
  /** The most items that leave in one flight; without it as many as have come. */
  most?: number;
}

interface Waiting<In, Out> {
  item: In;
  resolve: (value: Out) => void;
  reject: (reason: unknown) => void;
}

export class Batch<In, Out> {
  readonly #run: (items: In[]) => Promise<readonly (Out | Error)[]>;
  readonly #most: number;
  #waiting: Waiting<In, Out>[] = [];
  #leaving = false;
  #underWay = 0;

  /** @param run does the work of one flight; returns as many outcomes as it got items, in their order, an Error where one failed */
  constructor(run: (items: In[]) => Promise<readonly (Out | Error)[]>, { most = Number.POSITIVE_INFINITY }: BatchOptions = {}) {
    this.#run = run;
    this.#most = most;
  }

  /**
   * Sends an item with the next flight, at the end of this turn of the event loop at the latest.
   * @throws what `run` returned for it, or what it threw: then for every item of that flight, and for no other
   */
  add(item: In): Promise<Out> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      if (this.#underWay === 0 && this.#waiting.length >= FIRST_FLIGHT) this.#leave();
      else if (!this.#leaving) this.#leaveSoon();
    });
  }

  /** Not at once: what else comes in this turn of the event loop goes with it. */
  #leaveSoon(): void {
    this.#leaving = true;
    setImmediate(() => {
      this.#leaving = false;
      this.#leave();
    });
  }

  #leave(): void {
    const all = this.#waiting;
    this.#waiting = [];
    for (let start = 0; start < all.length; start += this.#most) void this.#fly(all.slice(start, start + this.#most));
  }

  async #fly(members: readonly Waiting<In, Out>[]): Promise<void> {
    this.#underWay += 1;
    try {
      const outcomes = await this.#run(members.map(({ item }) => item));
      if (outcomes.length !== members.length)
        throw new RangeError(`expected ${members.length} outcomes of a flight, got ${outcomes.length}`);
      members.forEach(({ resolve, reject }, index) => {
        const outcome = outcomes[index] as Out | Error;
        if (outcome instanceof Error) reject(outcome);
        else resolve(outcome);
      });
    } catch (error) {
      for (const { reject } of members) reject(error);
    } finally {
      this.#underWay -= 1;
    }
  }
}
