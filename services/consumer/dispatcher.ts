/**
 * Fills free slots from lanes: never more running jobs than slots, lanes in turn, no polling. One blocking BZPOPMIN over
 * all lanes' markers wakes it; while every slot is taken it does not listen, so that idle nodes get the wake-ups.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { messageOf } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import type { Redis } from '../../shared/redis.ts';
import type { Claim, Lane } from './lane.ts';

/** Seconds after which all lanes are looked at again, in case a wake-up got lost with the consumer that took it. */
const SAFETY_SECONDS = 5;

/** While one lane keeps all slots busy: how often the others are asked for work, in milliseconds. */
const PROBE_MS = 20;

/** Pause after a fetch that Redis refused, in milliseconds. */
const REFUSED_PAUSE_MS = 200;

export interface DispatcherOptions {
  lanes: readonly Lane[];
  slots: number;
  redis: Redis;
  /** A connection of its own: it spends its life in BZPOPMIN. */
  blocking: Redis;
  log: Logger;
  /**
   * Runs a job to its end. `mayFetchNext()` says whether the completion may take the lane's next job with it; what it took
   * is returned and run in the same slot.
   */
  execute: (claim: Claim, mayFetchNext: () => boolean) => Promise<Claim | undefined>;
}

export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #lanes: readonly Lane[];
  readonly #instance = randomUUID().slice(0, 8);
  #free: number;
  #turn = 0;
  #tokens = 0;
  #stopping = false;
  #listening: Promise<void> | undefined;
  #wakeListener: (() => void) | undefined;
  #busy = new Set<Promise<void>>();
  #probedAt = 0;
  #heardAt = performance.now();

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#lanes = options.lanes;
    this.#free = options.slots;
    // While Redis was away there was nothing to hear.
    options.blocking.on('ready', () => {
      this.#heardAt = performance.now();
    });
    for (const lane of this.#lanes) lane.onDue = () => this.#onDue(lane);
  }

  /** Whether every slot is taken. */
  get full(): boolean {
    return this.#free === 0;
  }

  /** For how many milliseconds it has heard nothing from Redis although it listens: at the most the safety interval, normally. */
  get silentMs(): number {
    const listens = !this.full && !this.#stopping && this.#lanes.length > 0 && this.#options.blocking.status === 'ready';
    return listens ? performance.now() - this.#heardAt : 0;
  }

  /** Makes the connection that it listens on anew. */
  reconnect(): void {
    this.#options.blocking.disconnect(true);
  }

  start(): void {
    this.#listening ??= this.#listen();
    this.#pump();
  }

  /** Takes nothing new. Resolves when no fetch is under way; jobs already taken go on. Safe to call twice. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#wakeListener?.();
    this.#options.blocking.disconnect();
    await this.#listening;
  }

  /** Resolves when no job runs and none is being fetched. */
  async drained(): Promise<void> {
    while (this.#busy.size > 0) await Promise.all(this.#busy);
  }

  #pump(): void {
    while (this.#free > 0 && !this.#stopping) {
      const lane = this.#nextLane();
      if (lane === undefined) break;
      this.#free -= 1;
      const slot = this.#fill(lane).finally(() => this.#busy.delete(slot));
      this.#busy.add(slot);
    }
    if (this.#free > 0) this.#wakeListener?.();
  }

  /** The next lane in turn that may have work and is not being asked already. */
  #nextLane(): Lane | undefined {
    for (let step = 0; step < this.#lanes.length; step += 1) {
      const lane = this.#lanes[(this.#turn + step) % this.#lanes.length];
      if (lane?.mayHaveWork && lane.fetching < lane.width) {
        this.#turn = (this.#turn + step + 1) % this.#lanes.length;
        return lane;
      }
    }
    return undefined;
  }

  /** One slot: fetches a job of the lane and runs it, and those that its completion brings along. */
  async #fill(lane: Lane): Promise<void> {
    let claim = await this.#fetch(lane);
    const hasRun = claim !== undefined;
    while (claim !== undefined) {
      const { id } = claim;
      claim = await this.#options
        .execute(claim, () => this.#mayFetchNext(lane))
        .catch((error: unknown) => {
          this.#options.log.error({ task: lane.name, jobId: id, reason: messageOf(error) }, 'job.processing_failed');
          return undefined;
        });
    }
    this.#free += 1;
    // The end of a job may let another of a limited task run: here, or where there is a free slot.
    if (hasRun && lane.task.concurrency !== undefined && !lane.mayHaveWork) {
      lane.wake();
      this.#handOn(lane);
    }
    this.#pump();
  }

  async #fetch(lane: Lane): Promise<Claim | undefined> {
    lane.fetching += 1;
    this.#tokens += 1;
    try {
      const claim = await lane.fetch(`${this.#instance}:${this.#tokens}`);
      lane.width = claim === undefined ? 1 : Math.min(lane.width * 2, this.#options.slots);
      return claim;
    } catch (error) {
      this.#options.log.warn({ task: lane.name, reason: messageOf(error) }, 'job.fetch_failed');
      lane.mayHaveWork = false;
      lane.wakeAt(Date.now() + REFUSED_PAUSE_MS);
      return undefined;
    } finally {
      lane.fetching -= 1;
      // A success may mean that there is more: other free slots need not wait for this job's end.
      queueMicrotask(() => this.#pump());
    }
  }

  /** A delayed job is due. With no free slot, another consumer may have one: the marker is put back. */
  #onDue(lane: Lane): void {
    if (this.full) this.#handOn(lane);
    else this.#pump();
  }

  #handOn(lane: Lane): void {
    this.#options.redis.zadd(lane.markerKey, 'NX', 0, '0').catch(() => {});
  }

  /** Waits for markers, as long as there is a free slot. */
  async #listen(): Promise<void> {
    const markers = this.#lanes.map((lane) => lane.markerKey);
    while (!this.#stopping) {
      if (this.full || markers.length === 0) {
        await new Promise<void>((resolve) => {
          this.#wakeListener = resolve;
        });
        this.#wakeListener = undefined;
        this.#heardAt = performance.now();
        continue;
      }
      try {
        const popped = await this.#options.blocking.bzpopmin(...markers, SAFETY_SECONDS);
        this.#heardAt = performance.now();
        this.#onMarker(popped);
      } catch (error) {
        if (this.#stopping) break;
        this.#options.log.debug({ reason: messageOf(error) }, 'dispatcher.wait_failed');
        await pause(REFUSED_PAUSE_MS);
      }
    }
  }

  #onMarker(popped: [string, string, string] | null): void {
    if (popped === null) {
      for (const lane of this.#lanes) lane.wake();
      return this.#pump();
    }
    const [key, , score] = popped;
    const lane = this.#lanes.find(({ markerKey }) => markerKey === key);
    if (lane === undefined) return;
    // A score above 0 is the time at which a delayed job is due.
    const due = Number(score);
    if (due > Date.now()) return lane.wakeAt(due);
    lane.wake();
    if (this.full || this.#stopping) this.#handOn(lane);
    else this.#pump();
  }

  /** A completion may bring the next job of its lane along, unless another lane has work: lanes take turns. */
  #mayFetchNext(lane: Lane): boolean {
    if (this.#stopping || this.#lanes.some((other) => other !== lane && other.mayHaveWork)) return false;
    if (this.full && Date.now() - this.#probedAt >= PROBE_MS) void this.#probe(lane);
    return true;
  }

  /** With all slots taken nobody listens for markers, so the other lanes' are looked at. */
  async #probe(lane: Lane): Promise<void> {
    this.#probedAt = Date.now();
    const others = this.#lanes.filter((other) => other !== lane);
    if (others.length === 0) return;
    try {
      const marked = await this.#options.redis.exists(...others.map(({ markerKey }) => markerKey));
      if (marked > 0) for (const other of others) other.wake();
    } catch (error) {
      this.#options.log.debug({ reason: messageOf(error) }, 'dispatcher.probe_failed');
    }
  }
}
