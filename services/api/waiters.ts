import type { IncomingMessage } from 'node:http';

/** More requests than this do not wait in one process: they are answered with what is known. */
const MOST_WAITING = 20_000;

/** The requests that wait for a job. Each ends when its client hangs up, and all when the process stops. */
export class Waiters {
  readonly #waiting = new Set<AbortController>();
  #stopped = false;

  /** A signal for one request's waiting, and the function that forgets it. */
  add({ socket }: IncomingMessage): { signal: AbortSignal; done: () => void } {
    const waiting = new AbortController();
    const hangUp = () => waiting.abort();
    this.#waiting.add(waiting);
    // Not the response's own event: one that is pipelined behind another has none.
    socket.once('close', hangUp);
    if (this.#stopped || socket.destroyed || this.#waiting.size > MOST_WAITING) waiting.abort();
    const done = () => {
      this.#waiting.delete(waiting);
      socket.off('close', hangUp);
      // Whatever still listens for the job's end stops now.
      waiting.abort();
    };
    return { signal: waiting.signal, done };
  }

  stop(): void {
    this.#stopped = true;
    for (const waiting of this.#waiting) waiting.abort();
  }
}
