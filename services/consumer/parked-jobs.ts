/** Jobs that were taken ahead of a free slot, so that short ones need not wait for Redis in between. */
import type { Claim } from './claim.ts';
import type { Lane } from './lane.ts';

/** How much work may be taken ahead for a slot, in milliseconds, and how many jobs: for a slot, and in all. */
const WORK_AHEAD_MS = 4;
const MOST_PER_SLOT = 8;
const MOST = 32;

/** A job that has not come to run after this long goes back, in milliseconds: another node may have a free slot. */
const PATIENCE_MS = 50;

/** How many jobs of a lane may be taken ahead for so many slots. */
export function roomAhead({ usualMs }: Pick<Lane, 'usualMs'>, slots: number): number {
  return Math.min(MOST, slots * Math.min(MOST_PER_SLOT, Math.floor(WORK_AHEAD_MS / usualMs)));
}

/** What a lane's jobs usually take, after one more: long ones count at once, and are forgotten slowly. In milliseconds. */
export function usualAfter(usualMs: number, durationMs: number): number {
  return Math.max(durationMs, Number.isFinite(usualMs) ? usualMs * 0.9 : PATIENCE_MS);
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

  get size(): number {
    return this.#jobs.length - this.#first;
  }

  add(claims: readonly Claim[]): void {
    const since = performance.now();
    for (const claim of claims) this.#jobs.push({ claim, since });
    if (claims.length > 0) this.#timer ??= setTimeout(() => this.#look(), PATIENCE_MS);
  }

  /** The one that has waited longest, if any. */
  next(): Claim | undefined {
    const job = this.#jobs[this.#first];
    if (job === undefined) return undefined;
    this.#first += 1;
    if (this.size === 0) {
      this.#jobs = [];
      this.#first = 0;
    }
    return job.claim;
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
