/** Checks of hashed secrets: each costs half a second of a core and 32 MiB, so few run at once and few wait. */
import { isSecret, type SecretHash } from '../../shared/secret-hash.ts';
import { Refusal } from './refusal.ts';

/** Of libuv's four threads two are left for files and names. */
const AT_ONCE = 2;
const WAITING = 32;

export class SecretChecks {
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  /**
   * Whether this is the secret, once it is its turn.
   * @throws Refusal 429 when too many wait already
   */
  async isRight(secret: string, hash: SecretHash): Promise<boolean> {
    if (this.#running < AT_ONCE) this.#running += 1;
    else await this.#turn();
    try {
      return await isSecret(secret, hash);
    } finally {
      // Whoever comes next takes over the place.
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }

  #turn(): Promise<void> {
    if (this.#waiting.length >= WAITING) {
      throw new Refusal('sign_ins_busy', 'Too many sign-ins at once, try again', { 'retry-after': '2' });
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}
