/** Tells the nodes of the installation which certificate this process serves. */
import { X509Certificate } from 'node:crypto';
import { CERTIFICATE_MS, publishCertificate } from '../../shared/certificates.ts';
import type { Config } from '../../shared/config.ts';
import { messageOf } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import type { Redis } from '../../shared/redis.ts';
import { readTls } from './tls.ts';

export class ServedCertificate {
  readonly #redis: Redis;
  readonly #config: Pick<Config, 'tls' | 'redis'>;
  readonly #log: Logger;
  #timer: NodeJS.Timeout | undefined;

  constructor(redis: Redis, config: Pick<Config, 'tls' | 'redis'>, log: Logger) {
    this.#redis = redis;
    this.#config = config;
    this.#log = log;
  }

  /** Tells it now, at every new connection to Redis, and again and again. Where a proxy speaks TLS there is nothing to tell. */
  start(): void {
    if (!this.#config.tls.enabled) return;
    this.#redis.on('ready', this.#tell);
    this.#timer ??= setInterval(this.#tell, CERTIFICATE_MS).unref();
    this.#tell();
  }

  /** Safe to call twice. */
  stop(): void {
    this.#redis.off('ready', this.#tell);
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  readonly #tell = (): void => {
    if (this.#redis.status !== 'ready') return;
    this.#publish().catch((error: unknown) => this.#log.debug({ reason: messageOf(error) }, 'certificate.not_published'));
  };

  /** A pair that cannot be used is not served either. */
  async #publish(): Promise<void> {
    const { fingerprint256 } = new X509Certificate(readTls(this.#config.tls).cert);
    await publishCertificate(this.#redis, this.#config.redis.prefix, fingerprint256);
  }
}
