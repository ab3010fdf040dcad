/**
 * Answers to who waits for a job. The consumer publishes the end of a job that carries `replyTo`; every API process listens
 * on one channel of its own and on the channel of revokes, over one connection.
 */
import { revokeChannel } from './job-scripts.ts';
import type { JobState, JobView } from './job-state.ts';
import type { Redis } from './redis.ts';

/** Results longer than this are not put into the message: the waiting process reads them from the job. */
const INLINE_LENGTH = 64 * 1024;

/** What is told of the end of a job. */
export function replyMessage(id: string, { state, resultJson }: JobView): string {
  return JSON.stringify(resultJson.length > INLINE_LENGTH ? [id] : [id, state, resultJson]);
}

/** Tells the process that listens on `channel` how a job ended. */
export async function publishReply(redis: Redis, channel: string, id: string, view: JobView): Promise<void> {
  await redis.publish(channel, replyMessage(id, view));
}

type Wake = (view: JobView | undefined) => void;

export class ReplyListener {
  /** What a job's `replyTo` must be for its end to be told here. */
  readonly channel: string;
  readonly #subscriber: Redis;
  readonly #revokes: string;
  readonly #waiting = new Map<string, Set<Wake>>();

  /** @param processId unlike that of any other process */
  constructor(subscriber: Redis, prefix: string, processId: string) {
    this.#subscriber = subscriber;
    this.channel = `${prefix}:replies:${processId}`;
    this.#revokes = revokeChannel(prefix);
  }

  start(): void {
    this.#subscriber.on('message', this.#onMessage);
    this.#subscriber.subscribe(this.channel, this.#revokes).catch(() => {});
  }

  stop(): void {
    this.#subscriber.off('message', this.#onMessage);
    for (const wakes of this.#waiting.values()) for (const wake of wakes) wake(undefined);
    this.#waiting.clear();
  }

  /**
   * Waits until the end of a job is told, at most `ms` milliseconds or until `signal` aborts. Register before the job is
   * submitted, or its end may be missed. Undefined: not told in time, told without its result, or aborted; read the job then.
   */
  wait(id: string, ms: number, signal?: AbortSignal): Promise<JobView | undefined> {
    return new Promise((resolve) => {
      const wakes = this.#waiting.get(id) ?? new Set<Wake>();
      this.#waiting.set(id, wakes);
      const settle: Wake = (view) => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        wakes.delete(settle);
        if (wakes.size === 0 && this.#waiting.get(id) === wakes) this.#waiting.delete(id);
        resolve(view);
      };
      const onAbort = () => settle(undefined);
      const timer = setTimeout(settle, Math.min(ms, 2 ** 31 - 1), undefined);
      wakes.add(settle);
      if (signal?.aborted) onAbort();
      else signal?.addEventListener('abort', onAbort);
    });
  }

  readonly #onMessage = (channel: string, message: string): void => {
    if (channel === this.#revokes) return this.#wake(message, undefined);
    if (channel !== this.channel) return;
    const [id, state, resultJson] = JSON.parse(message) as [string, JobState?, string?];
    this.#wake(id, state === undefined || resultJson === undefined ? undefined : { state, resultJson });
  };

  #wake(id: string, view: JobView | undefined): void {
    for (const wake of [...(this.#waiting.get(id) ?? [])]) wake(view);
  }
}
