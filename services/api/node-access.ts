/** Lets the nodes of this installation in, and nobody else: the accounts of callers are not asked. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Config } from '../../shared/config.ts';
import type { Logger } from '../../shared/logger.ts';
import { NODE_SCHEME, nodeCredential } from '../../shared/node-credential.ts';
import { answering, type Redis } from '../../shared/redis.ts';
import { FailedSignIns } from './failed-sign-ins.ts';
import { Refusal } from './refusal.ts';

/** The name under which failures are counted. */
const NAME = 'node';

export class NodeAccess {
  readonly #redis: Redis;
  readonly #settings: Config['redis'];
  readonly #failures: FailedSignIns;

  constructor(redis: Redis, settings: Config['redis'], log: Logger) {
    this.#redis = redis;
    this.#settings = settings;
    this.#failures = new FailedSignIns(redis, `${settings.prefix}:nodes`, log);
  }

  /** Whether an Authorization header claims to be of a node. */
  claims(header: string): boolean {
    return header.startsWith(`${NODE_SCHEME} `);
  }

  /**
   * Passes for a node of this installation. Failures slow only who is wrong: the credential cannot be guessed, and nodes may share an
   * address with whoever tries to.
   * @throws Refusal 401, 429
   * @throws RedisUnavailableError
   */
  async admit(header: string, address: string): Promise<void> {
    const credential = await answering(this.#redis, () => nodeCredential(this.#redis, this.#settings));
    if (timingSafeEqual(digestOf(header), digestOf(`${NODE_SCHEME} ${credential}`))) return;
    this.#failures.refuse(NAME, address);
    await this.#failures.during(NAME, address, async () => false);
    throw new Refusal('unauthorized', 'Not a node of this installation', { 'www-authenticate': NODE_SCHEME });
  }
}

/** Of equal length: the time tells nothing of where two texts differ. */
function digestOf(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
