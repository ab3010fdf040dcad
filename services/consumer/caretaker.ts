/**
 * What somebody must do for a task now and then, for all consumers of it: find jobs whose consumer died, let lines of keyed
 * concurrency go on, free expired results. One consumer at a time does, under a lease; the others ask when it would end.
 */
import { lookAfter, taskKeys } from '../../shared/job-scripts.ts';
import type { Logger } from '../../shared/logger.ts';
import type { Redis } from '../../shared/redis.ts';
import { keptSeconds } from '../../shared/registry-expiry.ts';
import { type Lane, RECOVERY_MS } from './lane.ts';

/** How often a task is looked after, in milliseconds. */
export const LOOK_MS = 1000;

/** How long the caretaker may be silent, in milliseconds: its own jobs are found in time when it dies, 8 s after their lock's renewal. */
const LEASE_MS = 5000;

/** The others ask up to this much later, so that they do not all ask at once, in milliseconds. */
const SPREAD_MS = 500;

/** When a line that was looked at is due again, in milliseconds: with the end of a lease in mind. */
const NEXT_LOOK_MS = 5000;

/** Results freed in one step: BullMQ's script holds Redis for that long. */
const SWEEP_BATCH = 1000;

export interface CaretakerOptions {
  /** The consumer's name. */
  name: string;
  lanes: readonly Lane[];
  redis: Redis;
  prefix: string;
  log: Logger;
}

export class Caretaker {
  readonly #options: CaretakerOptions;
  /** Until when another consumer looks after a task. */
  readonly #others = new Map<Lane, number>();
  #recoveredAt = 0;

  constructor(options: CaretakerOptions) {
    this.#options = options;
  }

  /** Looks after the tasks for which nobody else does. */
  async look(): Promise<void> {
    const recovers = performance.now() - this.#recoveredAt >= RECOVERY_MS - LOOK_MS / 2;
    if (recovers) this.#recoveredAt = performance.now();
    await Promise.all(this.#mine().map((lane) => this.#lookAfter(lane, recovers)));
  }

  async #lookAfter(lane: Lane, recovers: boolean): Promise<void> {
    const { name, redis, prefix, log } = this.#options;
    const care = { name, leaseMs: LEASE_MS, pauseMs: NEXT_LOOK_MS };
    const otherMs = await lookAfter({ redis, prefix, task: lane.name }, care);
    if (otherMs > 0) this.#others.set(lane, performance.now() + otherMs + Math.random() * SPREAD_MS);
    else if (recovers) for (const jobId of await lane.recover()) log.warn({ jobId }, 'job.recovered');
  }

  #mine(): Lane[] {
    const now = performance.now();
    return this.#options.lanes.filter((lane) => now >= (this.#others.get(lane) ?? 0));
  }

  /** Frees results that have expired everywhere: the longest time for which a consumer has promised to keep them has passed. */
  async sweep(ownSeconds: number): Promise<void> {
    const { redis, prefix } = this.#options;
    const lanes = this.#mine();
    if (lanes.length === 0) return;
    const promised = await keptSeconds(redis, prefix);
    for (const lane of lanes) {
      const ageMs = Math.max(ownSeconds, promised.get(lane.name) ?? 0) * 1000;
      for (const state of ['completed', 'failed'] as const) {
        while ((await lane.clean(ageMs, SWEEP_BATCH, state)) === SWEEP_BATCH);
      }
      await redis.zremrangebyscore(taskKeys(prefix, lane.name).revoked, 0, Date.now() - ageMs);
    }
  }
}
