/** Fills free slots from lanes: never more running jobs than slots, lanes in turn, no polling. The lanes' markers wake it. */
import { randomUUID } from 'node:crypto';
import { messageOf } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import type { Redis } from '../../shared/redis.ts';
import type { Claim, Lane } from './lane.ts';
import { type Listening, MarkerListener } from './marker-listener.ts';

/** While one lane keeps all slots busy: how often the others are asked for work, in milliseconds. */
const PROBE_MS = 20;

/** Pause after a fetch that Redis refused, in milliseconds. */
const REFUSED_PAUSE_MS = 200;

export interface DispatcherOptions {
  lanes: readonly Lane[];
  slots: number;
  redis: Redis;
  /** What it is woken by; together they are all lanes. */
  listeners: readonly Listening[];
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
  readonly #listeners: readonly MarkerListener[];
  readonly #instance = randomUUID().slice(0, 8);
  #free: number;
  #turn = 0;
  #tokens = 0;
  #stopping = false;
  #busy = new Set<Promise<void>>();
  #probedAt = 0;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#lanes = options.lanes;
    this.#free = options.slots;
    this.#listeners = options.listeners.map(
      (listening) =>
        new MarkerListener({
          ...listening,
          full: () => this.full,
          onMarker: (lane, due) => this.#onMarker(lane, due),
          log: options.log,
        }),
    );
    for (const lane of this.#lanes) lane.onDue = () => this.#onDue(lane);
  }

  /** Whether every slot is taken. */
  get full(): boolean {
    return this.#free === 0;
  }

  /** For how many milliseconds a listener has heard nothing from Redis although it listens. */
  get silentMs(): number {
    return this.#stopping ? 0 : Math.max(0, ...this.#listeners.map(({ silentMs }) => silentMs));
  }

  /** Makes the connections that it listens on anew. */
  reconnect(): void {
    for (const listener of this.#listeners) listener.reconnect();
  }

  start(): void {
    for (const listener of this.#listeners) listener.start();
    this.#pump();
  }

  /** Takes nothing new. Resolves when no fetch is under way; jobs already taken go on. Safe to call twice. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#listeners.map((listener) => listener.stop()));
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
    if (this.#free > 0) for (const listener of this.#listeners) listener.resume();
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

  #onMarker(lane: Lane, due: number): void {
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
    try {
      await Promise.all(this.#listeners.map(({ lanes }) => this.#lookAt(lanes.filter((other) => other !== lane))));
    } catch (error) {
      this.#options.log.debug({ reason: messageOf(error) }, 'dispatcher.probe_failed');
    }
  }

  /** Wakes lanes if one of them has a marker. They are lanes of one listener, so that one command may name them. */
  async #lookAt(lanes: readonly Lane[]): Promise<void> {
    if (lanes.length === 0) return;
    const marked = await this.#options.redis.exists(...lanes.map(({ markerKey }) => markerKey));
    if (marked > 0) for (const lane of lanes) lane.wake();
  }
}
