/**
 * Fills free slots from lanes: never more running jobs than slots, lanes in turn, no polling. The lanes' markers wake it. What ends in a
 * moment is written with one script for each lane, and that script takes the next jobs. Where jobs are short, a few are taken ahead.
 */
import { randomUUID } from 'node:crypto';
import { messageOf } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import type { Redis } from '../../shared/redis.ts';
import { Claim } from './claim.ts';
import type { Lane } from './lane.ts';
import { LaneTurns } from './lane-turns.ts';
import { type Listening, MarkerListener } from './marker-listener.ts';
import { chainLength, ParkedJobs, roomAhead } from './parked-jobs.ts';

/** While one lane keeps all slots busy: how often the others are asked for work, in milliseconds. */
const PROBE_MS = 20;

/** Pause after an exchange that Redis refused, in milliseconds. */
const REFUSED_PAUSE_MS = 200;

/** While jobs taken ahead keep the slots busy, ends are gathered for so long, in milliseconds, or until there are so many. */
const GATHER_MS = 1;
const ENOUGH_ENDS = 16;

/** After so many milliseconds without an answer other lanes are asked for what an exchange was to bring: its shard may be gone. */
const SLOW_MS = 250;

export interface DispatcherOptions {
  lanes: readonly Lane[];
  slots: number;
  redis: Redis;
  /** What it is woken by; together they are all lanes. */
  listeners: readonly Listening[];
  log: Logger;
  /** Runs a job, or several one after another, to the end, and calls `free` as soon as the slot may be used again: ends may still have to be written. */
  execute: (claims: readonly [Claim, ...Claim[]], free: () => void) => Promise<void>;
  /** Whether a job may run behind another in one slot, given to the thread together. */
  mayFollow: (claim: Claim, first: Claim) => boolean;
}

/** An exchange that Redis has not answered yet. */
interface UnderWay {
  /** It was sent to ask for work, and not because something had ended. */
  asks: boolean;
  wanted: number;
  /** By `performance.now()`. */
  since: number;
}

export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #lanes: readonly Lane[];
  readonly #listeners: readonly MarkerListener[];
  readonly #instance = randomUUID().slice(0, 8);
  readonly #turns: LaneTurns;
  readonly #parked: ParkedJobs;
  #free: number;
  readonly #underWay = new Set<UnderWay>();
  #exchanges = 0;
  #stopping = false;
  #busy = new Set<Promise<void>>();
  /** Lanes whose next exchange is arranged: a little later, or at the end of this turn of the event loop. */
  readonly #gathering = new Map<Lane, NodeJS.Timeout | 'now'>();
  #probedAt = 0;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#lanes = options.lanes;
    this.#turns = new LaneTurns(options.lanes);
    this.#free = options.slots;
    this.#parked = new ParkedJobs((claims) => this.#handBack(claims));
    this.#listeners = options.listeners.map(
      (listening) =>
        new MarkerListener({
          ...listening,
          full: () => this.full,
          onMarker: (lane, due) => this.#onMarker(lane, due),
          log: options.log,
        }),
    );
    for (const lane of this.#lanes) {
      lane.onDue = () => this.#onDue(lane);
      lane.onEnd = () => this.#gather(lane);
    }
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

  /** Takes nothing new. Resolves when nobody listens any more; jobs already taken go on. Safe to call twice. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#parked.handBackAll();
    await Promise.all(this.#listeners.map((listener) => listener.stop()));
  }

  /** Resolves when no job runs and none is being taken. */
  async drained(): Promise<void> {
    while (this.#busy.size > 0) await Promise.all(this.#busy);
  }

  /** Keeps a piece of work in mind until it is over. It must not reject. */
  #track(work: Promise<void>): void {
    const tracked = work.finally(() => this.#busy.delete(tracked));
    this.#busy.add(tracked);
  }

  #pump(): void {
    while (this.#free > 0) {
      const most = this.#chainLength();
      const claims = this.#parked.next(most, (claim, first) => this.#options.mayFollow(claim, first));
      if (claims === undefined) break;
      this.#track(this.#run(claims));
    }
    if (this.#stopping) return;
    // A lane is asked for all that there is room for, so one at a time is enough.
    const lane = this.#expected().some(({ asks }) => asks) ? undefined : this.#laneToAsk();
    if (lane !== undefined) this.#ask(lane);
    if (this.#free > 0) for (const listener of this.#listeners) listener.resume();
  }

  #chainLength(): number {
    const lane = this.#parked.first?.lane;
    return lane === undefined ? 1 : chainLength(lane, this.#parked.size, this.#options.slots);
  }

  /** How many jobs could be run at once beside those that are here or on their way. */
  #room(): number {
    const postponed = this.#lanes.reduce((sum, lane) => sum + lane.postponed, 0);
    const asked = this.#expected().reduce((sum, { wanted }) => sum + wanted, 0);
    return this.#free - this.#parked.size - asked - postponed;
  }

  /** The exchanges under way that will soon be answered. */
  #expected(): UnderWay[] {
    const now = performance.now();
    return [...this.#underWay].filter(({ since }) => now - since < SLOW_MS);
  }

  /** The lane to ask for work: for free slots, and before they are free where a lane's turn is over and little is left of what was taken ahead. */
  #laneToAsk(): Lane | undefined {
    const lane = this.#turns.next();
    const room = this.#room();
    if (lane === undefined || room > 0) return lane;
    const { current } = this.#turns;
    if (current === undefined || lane === current || (current.mayHaveWork && !this.#turns.isOver(current))) return undefined;
    const ahead = roomAhead(lane, this.#options.slots);
    return room + ahead > ahead / 2 ? lane : undefined;
  }

  /** Runs a job, or several in one slot, one after another. */
  async #run(claims: readonly [Claim, ...Claim[]]): Promise<void> {
    const [{ lane, id }] = claims;
    this.#free -= 1;
    let freed = false;
    const free = () => {
      if (freed) return;
      freed = true;
      this.#free += 1;
      this.#pump();
    };
    try {
      await this.#options.execute(claims, free);
    } catch (error) {
      this.#options.log.error({ task: lane.name, jobId: id, reason: messageOf(error) }, 'job.processing_failed');
    }
    free();
    // The end of a job may let another of a limited task run: here, or where there is a free slot.
    if (lane.task.concurrency !== undefined && !lane.mayHaveWork) {
      lane.wake();
      this.#handOn(lane);
      this.#pump();
    }
  }

  #ask(lane: Lane): void {
    this.#turns.begin(lane);
    // A timer may come a little early.
    const slow = setTimeout(() => this.#pump(), SLOW_MS + 10);
    this.#track(this.#exchange(lane, true).finally(() => clearTimeout(slow)));
  }

  /** Arranges the exchange that writes the lane's ends: with what else this turn of the event loop brings, or a little later. */
  #gather(lane: Lane): void {
    const arranged = this.#gathering.get(lane);
    if (arranged === 'now' || (arranged !== undefined && lane.endsWaiting < ENOUGH_ENDS)) return;
    clearTimeout(arranged);
    const exchange = () => {
      this.#gathering.delete(lane);
      this.#track(this.#exchange(lane, false));
    };
    if (this.#parked.size > 0 && lane.endsWaiting < ENOUGH_ENDS) {
      this.#gathering.set(lane, setTimeout(exchange, GATHER_MS));
    } else {
      this.#gathering.set(lane, 'now');
      setImmediate(exchange);
    }
  }

  /** How many jobs of a lane its next exchange asks for. */
  #wanted(lane: Lane): number {
    if (this.#stopping || !lane.mayHaveWork) return 0;
    const othersWait = this.#lanes.some((other) => other !== lane && other.mayHaveWork);
    if (othersWait && this.#turns.isOver(lane)) return 0;
    if (!othersWait && this.full && performance.now() - this.#probedAt >= PROBE_MS) void this.#probe(lane);
    return Math.max(0, this.#room() + roomAhead(lane, this.#options.slots));
  }

  /** Writes the ends of a lane and takes jobs of it. */
  async #exchange(lane: Lane, asks: boolean): Promise<void> {
    const wanted = this.#wanted(lane);
    if (wanted === 0 && lane.endsWaiting === 0) return;
    const underWay = { asks, wanted, since: performance.now() };
    this.#underWay.add(underWay);
    this.#exchanges += 1;
    try {
      const token = `${this.#instance}:${this.#exchanges}`;
      const taken = await lane.exchange(token, wanted);
      this.#parked.add(taken.map(({ id, fields }) => new Claim(lane, id, token, fields)));
      if (this.#stopping) this.#parked.handBackAll();
    } catch (error) {
      // Whose ends these were tells so, and tries again.
      this.#options.log.warn({ task: lane.name, reason: messageOf(error) }, 'job.exchange_failed');
      lane.mayHaveWork = false;
      lane.wakeAt(Date.now() + REFUSED_PAUSE_MS);
    }
    this.#underWay.delete(underWay);
    this.#pump();
  }

  /** Jobs were taken ahead that do not come to run soon: whoever has a free slot may have them, the first one first. */
  #handBack(claims: readonly Claim[]): void {
    for (const claim of claims.toReversed()) {
      claim.lane.usualMs = Number.POSITIVE_INFINITY;
      claim.lane.wake();
      this.#track(
        claim.lane.handBack(claim).then(
          () => {},
          (error: unknown) => this.#options.log.warn({ jobId: claim.id, reason: messageOf(error) }, 'job.not_handed_back'),
        ),
      );
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

  /** With all slots taken nobody listens for markers, so the other lanes' are looked at. */
  async #probe(lane: Lane): Promise<void> {
    this.#probedAt = performance.now();
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
