import { setTimeout as pause } from 'node:timers/promises';
import { messageOf } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import { followMove, type RedisListener } from '../../shared/redis.ts';
import type { Lane } from './lane.ts';

/** Seconds after which Redis answers at the latest, so that silence means that it is not heard. */
const SAFETY_SECONDS = 5;

/** Pause after a wait that Redis refused, in milliseconds. */
const REFUSED_PAUSE_MS = 200;

/** The lanes whose markers one BZPOPMIN waits for: all of them, or one where each is on a shard of its own. */
export interface Listening {
  lanes: readonly Lane[];
  /** A connection of its own: it spends its life in BZPOPMIN. */
  connection: RedisListener;
}

export interface MarkerListenerOptions extends Listening {
  /** Whether there is no room for a job: it does not listen then, so that idle nodes get the wake-ups. */
  full: () => boolean;
  /** A job is there, or due at a time (milliseconds since 1970). */
  onMarker: (lane: Lane, due: number) => void;
  log: Logger;
}

/** Waits for the markers that a queue shows when it has a job. */
export class MarkerListener {
  readonly lanes: readonly Lane[];
  readonly #options: MarkerListenerOptions;
  readonly #connection: RedisListener;
  #stopping = false;
  #running: Promise<void> | undefined;
  #resume: (() => void) | undefined;
  #heardAt = performance.now();

  constructor(options: MarkerListenerOptions) {
    this.lanes = options.lanes;
    this.#options = options;
    this.#connection = options.connection;
    // While Redis was away there was nothing to hear.
    this.#connection.on('ready', () => {
      this.#heardAt = performance.now();
    });
  }

  /** For how many milliseconds it has heard nothing from Redis although it listens: at the most SAFETY_SECONDS, normally. */
  get silentMs(): number {
    const listens = this.#running !== undefined && this.#resume === undefined && !this.#stopping && this.#connection.status === 'ready';
    return listens ? performance.now() - this.#heardAt : 0;
  }

  /** Makes its connection anew. */
  reconnect(): void {
    this.#connection.disconnect(true);
  }

  start(): void {
    this.#running ??= this.#listen();
  }

  /** There is room again. */
  resume(): void {
    this.#resume?.();
  }

  /** Resolves when it does not listen any more. Safe to call twice. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#resume?.();
    this.#connection.disconnect();
    await this.#running;
  }

  async #listen(): Promise<void> {
    const markers = this.lanes.map((lane) => lane.markerKey);
    while (!this.#stopping) {
      if (this.#options.full() || markers.length === 0) {
        await new Promise<void>((resolve) => {
          this.#resume = resolve;
        });
        this.#resume = undefined;
        this.#heardAt = performance.now();
        continue;
      }
      try {
        const popped = await this.#connection.bzpopmin(...markers, SAFETY_SECONDS);
        this.#heardAt = performance.now();
        this.#take(popped);
      } catch (error) {
        if (this.#stopping) break;
        if (followMove(this.#connection, error)) continue;
        this.#options.log.debug({ reason: messageOf(error) }, 'dispatcher.wait_failed');
        await pause(REFUSED_PAUSE_MS);
      }
    }
  }

  #take(popped: [key: string, member: string, score: string] | null): void {
    if (popped === null) return;
    const [key, , score] = popped;
    const lane = this.lanes.find(({ markerKey }) => markerKey === key);
    // A score above 0 is the time at which a delayed job is due.
    if (lane !== undefined) this.#options.onMarker(lane, Number(score));
  }
}
