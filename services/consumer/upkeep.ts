/** What a consumer does on timers: renews locks, tells that it is online, frees expired results. */
import { messageOf } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import { BEAT_MS, beat, type ConsumerStatus, signOff } from '../../shared/presence.ts';
import { CLAIM_MS, claimProtocol, PROTOCOL, protocolRefusal } from '../../shared/protocol.ts';
import type { Redis } from '../../shared/redis.ts';
import { Caretaker, LOOK_MS } from './caretaker.ts';
import { type Lane, LOCK_MS } from './lane.ts';
import type { Processor } from './processor.ts';

/**
 * Locks are renewed six times in their life. A cut of the network begins right before a renewal at worst; then what is left (6.7 s)
 * must outlast the cut and the wait for TCP's next try, which comes up to 6.2 s after the first one when the cut lasts 3 to 6 s.
 */
const RENEW_MS = LOCK_MS / 6;

/** Expired results are freed at least this often, in milliseconds; sooner where they expire sooner. */
const SWEEP_MS = 30_000;

export interface UpkeepOptions {
  lanes: readonly Lane[];
  processor: Processor;
  redis: Redis;
  prefix: string;
  status: () => ConsumerStatus;
  /** What is watched for deafness. */
  hearing: { readonly silentMs: number; reconnect(): void };
  log: Logger;
}

/** A dispatcher that Redis answers at least every 5 s is deaf after this long; after twice as long the process gives up. */
const DEAF_MS = 8000;

/** The consumer hears nothing although Redis answers, and a new connection did not help. */
class DeafError extends Error {
  constructor(silentMs: number) {
    super(`expected an answer of Redis every 5 s, got none for ${Math.round(silentMs / 1000)} s although it answers elsewhere`);
  }
}

/** While Redis was away the installation has begun to speak another protocol. */
class OtherProtocolError extends Error {}

export class Upkeep {
  readonly #options: UpkeepOptions;
  readonly #caretaker: Caretaker;
  #timers: NodeJS.Timeout[] = [];

  constructor(options: UpkeepOptions) {
    this.#options = options;
    const { lanes, redis, prefix, log } = options;
    this.#caretaker = new Caretaker({ name: options.status().name, lanes, redis, prefix, log });
  }

  /** Beats once and starts the timers. */
  async start(): Promise<void> {
    const { resultExpiresSeconds } = this.#options.status();
    const sweepMs = Math.max(500, Math.min(SWEEP_MS, (resultExpiresSeconds * 1000) / 2));
    this.#timers = [
      this.#every(RENEW_MS, 'locks.renew_failed', () => this.#renewLocks()),
      this.#every(BEAT_MS, 'presence.beat_failed', () => this.#beatAndListen()),
      this.#every(sweepMs, 'results.sweep_failed', () => this.#caretaker.sweep(resultExpiresSeconds)),
      this.#every(LOOK_MS, 'tasks.look_failed', () => this.#caretaker.look()),
      this.#every(CLAIM_MS, 'protocol.claim_failed', () => this.#claimProtocol()),
    ];
    await this.beat();
  }

  /** Runs `work` again and again, never twice at once. */
  #every(ms: number, failure: string, work: () => Promise<void>): NodeJS.Timeout {
    let busy = false;
    return setInterval(() => {
      if (busy) return;
      busy = true;
      work()
        .catch((error) => {
          // Ends the process, which its supervisor starts again: runService catches what nobody does.
          if (error instanceof DeafError || error instanceof OtherProtocolError) throw error;
          this.#options.log.warn({ reason: messageOf(error) }, failure);
        })
        .finally(() => {
          busy = false;
        });
    }, ms);
  }

  /** A beat that went through proves that Redis is there: then a dispatcher that hears nothing is deaf. */
  async #beatAndListen(): Promise<void> {
    await this.beat();
    const { hearing, log } = this.#options;
    const { silentMs } = hearing;
    if (silentMs > 2 * DEAF_MS) throw new DeafError(silentMs);
    if (silentMs <= DEAF_MS) return;
    log.warn({ silentMs: Math.round(silentMs) }, 'consumer.deaf');
    hearing.reconnect();
  }

  async beat(): Promise<void> {
    await beat(this.#options.redis, this.#options.prefix, this.#options.status());
  }

  async #claimProtocol(): Promise<void> {
    const installation = await claimProtocol(this.#options.redis, this.#options.prefix);
    if (installation !== PROTOCOL) throw new OtherProtocolError(protocolRefusal('worker', installation));
  }

  async #renewLocks(): Promise<void> {
    const jobs = [...this.#options.processor.running.values()];
    const lanes = await Promise.allSettled(
      this.#options.lanes.map(async (lane) => {
        const claims = jobs.map(({ claim }) => claim).filter((claim) => claim.lane === lane);
        if (claims.length === 0) return;
        for (const id of await lane.renew(claims)) {
          const job = this.#options.processor.running.get(id);
          if (job !== undefined) this.#options.processor.stop(job, 'lost');
        }
      }),
    );
    await this.#options.processor.renewPlaces();
    for (const lane of lanes) if (lane.status === 'rejected') throw lane.reason;
  }

  /** Stops the timers. Locks are renewed until then, so call it after the last job. */
  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.#timers = [];
    await signOff(this.#options.redis, this.#options.prefix, this.#options.status().name);
  }
}
