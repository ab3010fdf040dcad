/** What the routes work with: the jobs, the registry, who waits for what, and who may call. */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { Config } from '../../shared/config.ts';
import { messageOf, RedisUnavailableError } from '../../shared/errors.ts';
import { Jobs } from '../../shared/jobs.ts';
import type { Logger } from '../../shared/logger.ts';
import {
  API_COMMAND_TIMEOUT_MS,
  connectListener,
  connectRedis,
  disconnectRedis,
  type Redis,
  type RedisListener,
} from '../../shared/redis.ts';
import { RegistryView } from '../../shared/registry.ts';
import { Access } from './access.ts';
import { Audit } from './audit.ts';
import { JobEnds } from './job-ends.ts';
import { Membership } from './membership.ts';
import { RegistryUpkeep } from './registry-upkeep.ts';
import { ServedCertificate } from './served-certificate.ts';
import { Validators } from './validation.ts';
import { Waiters } from './waiters.ts';

const MAX_LISTENERS = 1_000_000;

const SETTLE_POLL_MS = 10;

export class Backend {
  readonly config: Config;
  readonly redis: Redis;
  readonly registry: RegistryView;
  readonly ends: JobEnds;
  readonly access: Access;
  readonly audit: Audit;
  readonly validators = new Validators();
  readonly waiters = new Waiters();
  /** Requests being answered carry on, but nobody should send new ones here. */
  stopping = false;
  readonly #subscriber: RedisListener;
  readonly #log: Logger;
  readonly #membership: Membership;
  readonly #upkeep: RegistryUpkeep;
  readonly #certificate: ServedCertificate;
  #jobs: Jobs | undefined;

  constructor(config: Config, log: Logger) {
    this.config = config;
    this.#log = log;
    this.redis = connectRedis(config.redis, { name: 'api', commandTimeoutMs: API_COMMAND_TIMEOUT_MS }, log);
    this.#subscriber = connectListener(config.redis, { name: 'api:subscriber' }, log);
    // While Redis is away, every request listens for its return. (BullMQ adds to the number, so 0 would not mean "any".)
    this.redis.setMaxListeners(MAX_LISTENERS);
    this.registry = new RegistryView(this.redis, this.#subscriber, config.redis.prefix, log);
    this.ends = new JobEnds({
      subscriber: this.#subscriber,
      prefix: config.redis.prefix,
      processId: randomUUID(),
      jobs: () => this.jobs,
      log,
    });
    this.access = new Access(config, this.redis, log);
    this.audit = new Audit(config, log);
    this.#membership = new Membership({ redis: this.redis, config, log, onRunningId: (id) => this.#serveJobsOf(id) });
    this.#certificate = new ServedCertificate(this.redis, config, log);
    this.#upkeep = new RegistryUpkeep({
      redis: this.redis,
      prefix: config.redis.prefix,
      registry: this.registry,
      expiresSeconds: config.registryExpiresSeconds,
      resultExpiresSeconds: config.consumer.resultExpiresSeconds,
      jobs: () => this.jobs,
      log,
    });
  }

  /** Starts to follow Redis; returns at once, also while it is away. */
  start(): void {
    this.registry.start();
    this.ends.start();
    this.redis.on('ready', this.#refreshRegistry);
    this.#membership.start();
    this.#certificate.start();
  }

  /** Waits until jobs can be served, at most `ms` milliseconds: Redis may be late, and then the API answers that it is. */
  async settle(ms: number): Promise<void> {
    const deadline = performance.now() + ms;
    while ((this.#jobs === undefined || !this.registry.loaded) && performance.now() < deadline) await pause(SETTLE_POLL_MS);
  }

  /** @throws RedisUnavailableError until Redis has told the running id */
  get jobs(): Jobs {
    if (this.#jobs === undefined) throw new RedisUnavailableError(this.#noJobs);
    return this.#jobs;
  }

  get #noJobs(): string {
    return this.#membership.refusal ?? 'the running id is not known yet';
  }

  /** Why this process cannot serve jobs now, or undefined when it can. Waits at most for one answer of Redis. */
  async notReady(): Promise<string | undefined> {
    if (this.stopping) return 'the process is stopping';
    if (this.redis.status !== 'ready') return `no connection to Redis (${this.redis.status})`;
    try {
      await this.redis.ping();
    } catch (error) {
      return `Redis does not answer: ${messageOf(error)}`;
    }
    if (this.#jobs === undefined) return this.#noJobs;
    return this.registry.loaded ? undefined : 'the registry is not loaded yet';
  }

  readonly #refreshRegistry = (): void => void this.registry.refresh();

  #serveJobsOf(runningId: string | undefined): void {
    const { redis, consumer } = this.config;
    const before = this.#jobs;
    this.#jobs =
      runningId === undefined
        ? undefined
        : new Jobs({ redis: this.redis, prefix: redis.prefix, runningId, resultExpiresSeconds: consumer.resultExpiresSeconds });
    if (runningId === undefined) {
      this.#upkeep.stop();
    } else {
      this.#log.setBindings({ runningId });
      this.#log.info('running_id.obtained');
      this.#upkeep.start();
    }
    before?.close().catch((error) => this.#log.debug({ reason: messageOf(error) }, 'jobs.close_failed'));
  }

  /** Wakes whoever waits for a job: they answer with what is known. */
  release(): void {
    this.stopping = true;
    this.waiters.stop();
  }

  /** Ends every connection. Safe to call twice. */
  stop(): void {
    this.release();
    this.redis.off('ready', this.#refreshRegistry);
    this.#membership.stop();
    this.#certificate.stop();
    this.#upkeep.stop();
    this.registry.stop();
    this.ends.stop();
    this.audit.close();
    disconnectRedis(this.redis);
    disconnectRedis(this.#subscriber);
  }
}
