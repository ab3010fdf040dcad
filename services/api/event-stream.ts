/** A client that is told the ends of its jobs as server-sent events, over an answer that lasts until all are told. */
import type { ServerResponse } from 'node:http';
import { hasEnded, type JobView } from '../../shared/job-state.ts';
import type { EndListener } from './job-ends.ts';
import { jobJson } from './route.ts';

/** `id` of the last event. A browser that connects again sends it as Last-Event-ID, and is answered that there is nothing more. */
export const ALL_TOLD = 'done';

/** When a client whose stream broke off should connect again, in milliseconds. */
const RETRY_MS = 1000;

/** How many jobs are looked at together at most. */
const LARGEST_GROUP = 16;

export interface EventStreamOptions {
  response: ServerResponse;
  /** Reads a job, and where it has not ended, has the stream told once it does. Undefined: there is none, for this client. */
  look: (id: string, stream: EndListener) => Promise<JobView | undefined>;
  /** Ends the listening. */
  forget: (id: string, stream: EndListener) => void;
  /** What the client is told of a job that does not exist. */
  unknown: (id: string) => string;
  /** Called once, when the stream has ended. */
  onEnd: (stream: EventStream) => void;
}

export class EventStream implements EndListener {
  readonly #options: EventStreamOptions;
  /** Jobs to look at: at first all, later those that ended while the client did not read. */
  #ahead: string[];
  /** Jobs that have not ended. Each id is here, ahead, or told. */
  readonly #awaited = new Set<string>();
  #looking = false;
  /** How many are looked at together: twice as many each time, one where results are long, or the client is slow. */
  #group = 1;
  /** Whether the client reads: nothing is written, and no result kept, while much of what was written lies unread. */
  #flowing = true;
  #ended = false;

  /** @param ids no two alike */
  constructor(ids: Iterable<string>, options: EventStreamOptions) {
    this.#options = options;
    this.#ahead = [...ids];
  }

  /**
   * Looks at the first jobs, then answers: from here on the stream looks after itself. The headers must be set.
   * @throws RedisUnavailableError before anything is written
   */
  async start(): Promise<void> {
    const { response } = this.#options;
    // Whoever has gone before this tells so no more.
    if (response.req.socket.destroyed) return this.#leave();
    // Not the response's own event: one that is pipelined behind another has none.
    response.req.socket.once('close', this.stop);
    try {
      this.#looking = true;
      const first = this.#ahead.splice(0, this.#group);
      const events = await this.#look(first);
      if (this.#ended) return;
      response.on('drain', this.#onDrain);
      this.#write(`retry: ${RETRY_MS}\n\n`);
      this.#writeAll(first, events);
    } catch (error) {
      if (this.#ended) return;
      this.#leave();
      throw error;
    } finally {
      this.#looking = false;
    }
    void this.#goOn();
  }

  ended(id: string, view: JobView | undefined): void {
    if (!this.#awaited.delete(id)) return;
    if (this.#flowing && !this.#looking) this.#write(this.#eventOf(id, view));
    else this.#ahead.push(id);
    void this.#goOn();
  }

  /** A sign of life, so that nothing on the way takes the connection for dead. */
  keepAlive(): void {
    if (this.#flowing && this.#options.response.headersSent) this.#write(':\n\n');
  }

  /** Ends the stream; its client may connect again. Safe to call twice. */
  readonly stop = (): void => {
    if (this.#ended) return;
    this.#leave();
    this.#options.response.end();
  };

  #leave(): void {
    const { response, forget, onEnd } = this.#options;
    this.#ended = true;
    response.req.socket.off('close', this.stop);
    response.off('drain', this.#onDrain);
    for (const id of this.#awaited) forget(id, this);
    this.#awaited.clear();
    this.#ahead = [];
    onEnd(this);
  }

  /** Looks at what is ahead and writes what there is to tell, while the client reads; ends the stream when all is told. */
  async #goOn(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    try {
      while (this.#flowing && this.#ahead.length > 0) {
        const group = this.#ahead.splice(0, this.#group);
        this.#writeAll(group, await this.#look(group));
      }
    } catch {
      // Redis is gone: the client finds out when it connects again.
      this.stop();
    } finally {
      this.#looking = false;
    }
    if (this.#ended || this.#ahead.length > 0 || this.#awaited.size > 0) return;
    this.#write(`event: done\nid: ${ALL_TOLD}\ndata: {}\n\n`);
    this.stop();
  }

  /** The event of each job, undefined where it has not ended. */
  #look(ids: readonly string[]): Promise<(string | undefined)[]> {
    return Promise.all(
      ids.map(async (id) => {
        const view = await this.#options.look(id, this);
        if (view === undefined || hasEnded(view.state)) return this.#eventOf(id, view);
        if (this.#ended) this.#options.forget(id, this);
        else this.#awaited.add(id);
        return undefined;
      }),
    );
  }

  #eventOf(id: string, view: JobView | undefined): string {
    if (view !== undefined) return `event: end\nid: ${id}\ndata: ${jobJson(id, view.state, view.resultJson)}\n\n`;
    return `event: unknown\ndata: ${JSON.stringify({ id, detail: this.#options.unknown(id) })}\n\n`;
  }

  /** What does not fit any more is read again later. */
  #writeAll(ids: readonly string[], events: readonly (string | undefined)[]): void {
    for (const [index, event] of events.entries()) {
      const id = ids[index];
      if (event === undefined || id === undefined) continue;
      if (this.#flowing) this.#write(event);
      else this.#ahead.push(id);
    }
    this.#group = this.#flowing ? Math.min(LARGEST_GROUP, 2 * this.#group) : 1;
  }

  #write(text: string): void {
    if (!this.#ended) this.#flowing = this.#options.response.write(text);
  }

  readonly #onDrain = (): void => {
    this.#flowing = true;
    void this.#goOn();
  };
}
