import { revokeChannel } from '../../shared/job-scripts.ts';
import type { RedisListener } from '../../shared/redis.ts';

/**
 * Listens for revokes. A message that is missed (a connection lost at that moment) is made up for by the job's lock, which
 * the revoke took away: its next renewal ends the job.
 */
export class RevokeListener {
  readonly #subscriber: RedisListener;
  readonly #channel: string;
  readonly #onRevoke: (id: string) => void;

  /** @param subscriber a connection of its own */
  constructor(subscriber: RedisListener, prefix: string, onRevoke: (id: string) => void) {
    this.#subscriber = subscriber;
    this.#channel = revokeChannel(prefix);
    this.#onRevoke = onRevoke;
  }

  async start(): Promise<void> {
    this.#subscriber.on('message', (channel: string, id: string) => {
      if (channel === this.#channel) this.#onRevoke(id);
    });
    await this.#subscriber.subscribe(this.#channel);
  }

  stop(): void {
    this.#subscriber.removeAllListeners('message');
    this.#subscriber.disconnect();
  }
}
