import { createHash } from 'node:crypto';

/**
 * Chance that a seed repeats: the n-th number of a stream is a hash of seed, stream and n. Each part of a run has a stream of its
 * own, so that how fast one goes does not change what another draws.
 */
export class Random {
  readonly #origin: string;
  #drawn = 0;

  constructor(seed: number, stream: string) {
    this.#origin = `${seed}:${stream}`;
  }

  /** From 0 to less than 1. */
  next(): number {
    this.#drawn += 1;
    const digest = createHash('sha256').update(`${this.#origin}:${this.#drawn}`).digest();
    return digest.readUInt32BE(0) / 2 ** 32;
  }

  between(least: number, most: number): number {
    return least + this.next() * (most - least);
  }

  /** A whole number, both ends included. */
  whole(least: number, most: number): number {
    return Math.floor(this.between(least, most + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** @throws Error for an empty list */
  pick<T>(list: readonly T[]): T {
    const item = list[this.whole(0, list.length - 1)];
    if (item === undefined) throw new Error('expected a list to pick from, got an empty one');
    return item;
  }

  /** An item, each as likely as its weight says. */
  weighted<T extends { weight: number }>(list: readonly T[]): T {
    let left = this.next() * list.reduce((sum, { weight }) => sum + weight, 0);
    for (const item of list) {
      left -= item.weight;
      if (left < 0) return item;
    }
    return this.pick(list);
  }
}
