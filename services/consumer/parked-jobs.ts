/** Jobs that were taken ahead of a free slot, so that short ones need not wait for Redis in between. */
import type { Claim } from './claim.ts';
import type { Lane } from './lane.ts';
import { LONGEST_CHAIN } from './thread-pool.ts';

/** How much work may be taken ahead for a slot, in milliseconds, and how many jobs: for a slot, and in all. */
const WORK_AHEAD_MS = 4;
const MOST_PER_SLOT = 8;
const MOST = 32;

/** How much work a thread may be given at once, in milliseconds. */
const CHAIN_MS = 2;

/** A job that has not come to run after this long goes back, in milliseconds: another node may have a free slot. */
const PATIENCE_MS = 50;

/** The same for one in a chain, a little later: those behind it go back first, so that it is the next again. */
export const CHAIN_PATIENCE_MS = PATIENCE_MS + 10;

/** What is supposed of jobs before any has run, in milliseconds: the first ones are not taken ahead. */
const UNKNOWN_MS = 10;

/** How many jobs of a lane may be taken ahead for so many slots. */
export function roomAhead({ usualMs }: Pick<Lane, 'usualMs'>, slots: number): number {
  return Math.min(MOST, slots * Math.min(MOST_PER_SLOT, Math.floor(WORK_AHEAD_MS / usualMs)));
}

/** How many jobs of a lane a thread may be given at once, where so many wait for so many slots. */
export function chainLength({ usualMs }: Pick<Lane, 'usualMs'>, waiting: number, slots: number): number {
  return Math.max(1, Math.min(LONGEST_CHAIN, Math.floor(CHAIN_MS / usualMs), Math.ceil(waiting / slots)));
}

/** What a lane's jobs usually take, after one more: a moving average, which a single long job moves far, and short ones slowly back. In milliseconds. */
export function usualAfter(usualMs: number, durationMs: number): number {
  const before = Number.isFinite(usualMs) ? usualMs : UNKNOWN_MS;
  return before + (durationMs - before) / 5;
}

/** In the order in which they were taken. */
export class ParkedJobs {
  readonly #giveUp: (claims: Claim[]) => void;
  #jobs: { claim: Claim; since: number }[] = [];
  #first = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param giveUp is handed those that have waited too long */
  constructor(giveUp: (claims: Claim[]) => void) {
    this.#giveUp = giveUp;
  }

  /** The one that has waited longest, if any. */
  get first(): Claim | undefined {
    return this.#jobs[this.#first]?.claim;
  }

  get size(): number {
    return this.#jobs.length - this.#first;
  }

  add(claims: readonly Claim[]): void {
    const since = performance.now();
    for (const claim of claims) this.#jobs.push({ claim, since });
    if (claims.length > 0) this.#timer ??= setTimeout(() => this.#look(), PATIENCE_MS);
  }

  /** The one that has waited longest and those behind it which may follow it in one thread, at most so many. */
  next(most: number, follows: (claim: Claim, first: Claim) => boolean): [Claim, ...Claim[]] | undefined {
    const { first } = this;
    if (first === undefined) return undefined;
    const chain: [Claim, ...Claim[]] = [first];
    this.#first += 1;
    for (; chain.length < most; this.#first += 1) {
      const claim = this.#jobs[this.#first]?.claim;
      if (claim === undefined || !follows(claim, first)) break;
      chain.push(claim);
    }
    if (this.size === 0) {
      this.#jobs = [];
      this.#first = 0;
    }
    return chain;
  }

  handBackAll(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const claims = this.#jobs.slice(this.#first).map(({ claim }) => claim);
    this.#jobs = [];
    this.#first = 0;
    this.#giveUp(claims);
  }

  #look(): void {
    this.#timer = undefined;
    const oldest = this.#jobs[this.#first];
    if (oldest === undefined) return;
    const leftMs = oldest.since + PATIENCE_MS - performance.now();
    // Those behind it would wait even longer.
    if (leftMs <= 0) this.handBackAll();
    else this.#timer = setTimeout(() => this.#look(), leftMs);
  }
}
