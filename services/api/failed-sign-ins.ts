/** Slows brute force: who fails too often is refused for a while, right or wrong. Counted in Redis for all API processes together. */
import { createHash } from 'node:crypto';
import { RateLimiterMemory, RateLimiterRedis } from 'rate-limiter-flexible';
import type { Logger } from '../../shared/logger.ts';
import type { Redis } from '../../shared/redis.ts';
import { networkOf } from './client-address.ts';
import { Refusal } from './refusal.ts';

/** Failures in the window after which a name is refused from one address, and all names are. */
const MOST = { name: 10, address: 100 };
const WINDOW_SECONDS = 600;

/** Keys that one process remembers; of more the oldest are forgotten here, and still counted in Redis. */
const REMEMBERED = 10_000;

/** The counts by name and address, and by address alone. */
export class FailedSignIns {
  readonly #byName: Failures;
  readonly #byAddress: Failures;

  constructor(redis: Redis, prefix: string, log: Logger) {
    this.#byName = new Failures({ redis, prefix: `${prefix}:failed_sign_ins:name`, most: MOST.name, log });
    this.#byAddress = new Failures({ redis, prefix: `${prefix}:failed_sign_ins:address`, most: MOST.address, log });
  }

  /**
   * Asks nobody: what this process knows holds.
   * @throws Refusal 429 while there were too many failures, or as many checks are under way
   */
  refuse(name: string, address: string): void {
    const network = networkOf(address);
    this.#byAddress.refuse(network);
    this.#byName.refuse(`${network} ${name}`);
  }

  /**
   * Counts a check as a failure until it has ended, and after it if it was one.
   * @param check tells whether the secret was right
   * @throws Refusal 429 for a failure too many
   */
  async during(name: string, address: string, check: () => Promise<boolean>): Promise<boolean> {
    const network = networkOf(address);
    return await this.#byAddress.during(network, () => this.#byName.during(`${network} ${name}`, check));
  }

  /** After a success: the failures of this name from this address are forgotten. Redis is asked only if this process knows of any. */
  forget(name: string, address: string): void {
    this.#byName.forget(`${networkOf(address)} ${name}`);
  }

  /**
   * The accounts have changed, so what was wrong may be right now: counting begins anew, in every process that has read the same file.
   * @param accounts digest of the file's content
   */
  lift(accounts: string): void {
    this.#byAddress.lift(accounts);
    this.#byName.lift(accounts);
  }
}

interface FailuresOptions {
  redis: Redis;
  prefix: string;
  most: number;
  log: Logger;
}

interface Known {
  failures: number;
  /** When the failures are forgotten, by performance.now(). */
  until: number;
  /** Checks under way. */
  checking: number;
}

class Failures {
  readonly #limiter: RateLimiterRedis;
  readonly #most: number;
  readonly #log: Logger;
  readonly #known = new Map<string, Known>();
  /** Digest of the accounts file for which failures are counted. */
  #accounts = '';

  constructor({ redis, prefix, most, log }: FailuresOptions) {
    const limit = { keyPrefix: prefix, points: most, duration: WINDOW_SECONDS };
    // While Redis is away each process counts for itself.
    const insuranceLimiter = new RateLimiterMemory(limit);
    this.#limiter = new RateLimiterRedis({ ...limit, storeClient: redis, rejectIfRedisNotReady: true, insuranceLimiter });
    this.#most = most;
    this.#log = log;
  }

  refuse(key: string): void {
    const known = this.#known.get(key);
    if (known === undefined) return;
    const now = performance.now();
    if (now >= known.until) known.failures = 0;
    if (known.failures >= this.#most) throw tooMany(known.until - now);
    // Guesses that are sent all at once are no more than guesses one by one.
    if (known.failures + known.checking >= this.#most) throw tooMany(0);
  }

  async during(key: string, check: () => Promise<boolean>): Promise<boolean> {
    const known = this.#obtain(key);
    known.checking += 1;
    try {
      await this.#learn(key, known);
      const right = await check();
      if (!right) await this.#count(key, known);
      return right;
    } finally {
      known.checking -= 1;
      if (known.checking === 0 && known.failures === 0) this.#known.delete(key);
    }
  }

  forget(key: string): void {
    const known = this.#known.get(key);
    if (known === undefined || known.failures === 0) return;
    known.failures = 0;
    if (known.checking === 0) this.#known.delete(key);
    // One that Redis keeps is forgotten with its window.
    this.#limiter.delete(this.#keyOf(key)).catch(() => {});
  }

  lift(accounts: string): void {
    this.#accounts = accounts;
    for (const known of this.#known.values()) known.failures = 0;
  }

  #obtain(key: string): Known {
    const known = this.#known.get(key) ?? { failures: 0, until: 0, checking: 0 };
    this.#known.set(key, known);
    for (const [oldest, { checking }] of this.#known) {
      if (this.#known.size <= REMEMBERED) break;
      if (checking === 0) this.#known.delete(oldest);
    }
    return known;
  }

  /** Another process may know of failures that this one does not. Asked only before a check that is made anyway. @throws Refusal 429 */
  async #learn(key: string, known: Known): Promise<void> {
    const counted = await this.#limiter.get(this.#keyOf(key)).catch(() => null);
    if (counted === null || counted.consumedPoints <= known.failures) return;
    known.failures = counted.consumedPoints;
    known.until = performance.now() + counted.msBeforeNext;
    if (known.failures >= this.#most) throw tooMany(counted.msBeforeNext);
  }

  /** A name may be long, and what is typed into the wrong field is not for others to read. */
  #keyOf(key: string): string {
    return createHash('sha256').update(`${this.#accounts} ${key}`).digest('base64url');
  }

  async #count(key: string, known: Known): Promise<void> {
    const { consumedPoints, msBeforeNext } = await this.#limiter.penalty(this.#keyOf(key));
    known.failures = Math.max(known.failures, consumedPoints);
    known.until = performance.now() + msBeforeNext;
    if (consumedPoints === this.#most) this.#log.warn({ address: key.split(' ')[0], failures: this.#most }, 'sign_ins.slowed');
    if (consumedPoints > this.#most) throw tooMany(msBeforeNext);
  }
}

function tooMany(ms: number): Refusal {
  const seconds = Math.max(1, Math.ceil(ms / 1000));
  return new Refusal('sign_ins_slowed', 'Too many failed sign-ins, try again later', { 'retry-after': String(seconds) });
}
