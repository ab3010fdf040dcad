import type { ServerResponse } from 'node:http';

/** The requests that wait for a job. Each ends when its client hangs up, and all when the process stops. */
export class Waiters {
  readonly #waiting = new Set<AbortController>();
  #stopped = false;

  /** A signal for one request's waiting, and the function that forgets it. */
  add(response: ServerResponse): { signal: AbortSignal; done: () => void } {
    const waiting = new AbortController();
    const hangUp = () => waiting.abort();
    this.#waiting.add(waiting);
    response.once('close', hangUp);
    if (this.#stopped || response.destroyed) waiting.abort();
    const done = () => {
      this.#waiting.delete(waiting);
      response.off('close', hangUp);
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
