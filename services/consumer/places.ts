/** Places of keyed concurrency, as a running job holds them. */
import { givePlaceBack, type PlaceOutcome, type ScriptTarget, takePlace } from '../../shared/job-scripts.ts';
import type { Redis } from '../../shared/redis.ts';
import type { Claim } from './claim.ts';

/** A place is kept this long without a renewal, in milliseconds; shorter where the caller asks for less, never below SHORTEST. */
const LONGEST_LEASE_MS = 30_000;
const SHORTEST_LEASE_MS = 12_000;

/** Takes, renews and gives back the places of jobs that asked for keyed concurrency; all else passes. */
export class Places {
  readonly #redis: Redis;
  readonly #prefix: string;

  constructor(redis: Redis, prefix: string) {
    this.#redis = redis;
    this.#prefix = prefix;
  }

  /** Takes or renews the place of a job. A job that asked for none has one. */
  async take(claim: Claim): Promise<PlaceOutcome> {
    const { concurrency } = claim.job.data;
    if (concurrency === undefined) return 'taken';
    return await takePlace(this.#target(claim), claim.token, {
      key: concurrency.key,
      max: concurrency.max,
      leaseMs: Math.min(LONGEST_LEASE_MS, Math.max(SHORTEST_LEASE_MS, concurrency.expireSeconds * 1000)),
      countdownMs: concurrency.countdownSeconds * 1000,
      order: claim.job.timestamp,
    });
  }

  /** Gives the place of a job back that has ended, here or for good. */
  async giveBack(claim: Claim): Promise<void> {
    const { concurrency } = claim.job.data;
    if (concurrency !== undefined) await givePlaceBack(this.#target(claim), claim.token, concurrency.key);
  }

  #target(claim: Claim): ScriptTarget {
    return { redis: this.#redis, prefix: this.#prefix, task: claim.lane.name, id: claim.id };
  }
}
