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
import { checkRedisServer, UnsuitableRedisError } from '../../shared/redis-server-check.ts';
import { RegistryView } from '../../shared/registry.ts';
import { ReplyListener } from '../../shared/replies.ts';
import { obtainRunningId } from '../../shared/running-id.ts';
import { Access } from './access.ts';
import { Audit } from './audit.ts';
import { Validators } from './validation.ts';
import { Waiters } from './waiters.ts';

const MAX_LISTENERS = 1_000_000;

const SETTLE_POLL_MS = 10;

/** How long until the running id is asked for again after a failure, in milliseconds. */
const RETRY_MS = 1000;

export class Backend {
  readonly config: Config;
  readonly redis: Redis;
  readonly registry: RegistryView;
  readonly replies: ReplyListener;
  readonly access: Access;
  readonly audit: Audit;
  readonly validators = new Validators();
  readonly waiters = new Waiters();
  /** Requests being answered carry on, but nobody should send new ones here. */
  stopping = false;
  readonly #subscriber: RedisListener;
  readonly #log: Logger;
  #checked = false;
  #jobs: Jobs | undefined;
  #retry: NodeJS.Timeout | undefined;

  constructor(config: Config, log: Logger) {
    this.config = config;
    this.#log = log;
    this.redis = connectRedis(config.redis, { name: 'api', commandTimeoutMs: API_COMMAND_TIMEOUT_MS }, log);
    this.#subscriber = connectListener(config.redis, { name: 'api:subscriber' }, log);
    // While Redis is away, every request listens for its return. (BullMQ adds to the number, so 0 would not mean "any".)
    this.redis.setMaxListeners(MAX_LISTENERS);
    this.registry = new RegistryView(this.redis, this.#subscriber, config.redis.prefix, log);
    this.replies = new ReplyListener(this.#subscriber, config.redis.prefix, randomUUID());
    this.access = new Access(config, this.redis, log);
    this.audit = new Audit(config, log);
  }

  /** Starts to follow Redis; returns at once, also while it is away. */
  start(): void {
    this.registry.start();
    this.replies.start();
    this.redis.on('ready', this.#learnRunningId);
    if (this.redis.status === 'ready') this.#learnRunningId();
  }

  /** Waits until jobs can be served, at most `ms` milliseconds: Redis may be late, and then the API answers that it is. */
  async settle(ms: number): Promise<void> {
    const deadline = performance.now() + ms;
    while ((this.#jobs === undefined || !this.registry.loaded) && performance.now() < deadline) await pause(SETTLE_POLL_MS);
  }

  /** @throws RedisUnavailableError until Redis has told the running id */
  get jobs(): Jobs {
    if (this.#jobs === undefined) throw new RedisUnavailableError('the running id is not known yet');
    return this.#jobs;
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
    if (this.#jobs === undefined) return 'the running id is not known yet';
    return this.registry.loaded ? undefined : 'the registry is not loaded yet';
  }

  // Asked at every new connection: a Redis that has lost its data gives another one, and all processes must use the same.
  readonly #learnRunningId = (): void => {
    clearTimeout(this.#retry);
    this.#obtainRunningId().catch((error) => {
      // Nobody catches it: the process ends, and its log says why.
      if (error instanceof UnsuitableRedisError) throw error;
      this.#log.warn({ reason: messageOf(error) }, 'running_id.failed');
      this.#retry = setTimeout(this.#learnRunningId, RETRY_MS);
    });
    void this.registry.refresh();
  };

  async #obtainRunningId(): Promise<void> {
    const { redis, consumer, runningId: configured } = this.config;
    if (!this.#checked) await checkRedisServer(this.redis, this.#log);
    this.#checked = true;
    const runningId = await obtainRunningId(this.redis, redis.prefix, configured);
    const before = this.#jobs;
    if (before?.runningId === runningId) return;
    this.#jobs = new Jobs({ redis: this.redis, prefix: redis.prefix, runningId, resultExpiresSeconds: consumer.resultExpiresSeconds });
    this.#log.setBindings({ runningId });
    this.#log.info('running_id.obtained');
    await before?.close();
  }

  /** Wakes whoever waits for a job: they answer with what is known. */
  release(): void {
    this.stopping = true;
    this.waiters.stop();
  }

  /** Ends every connection. Safe to call twice. */
  stop(): void {
    this.release();
    clearTimeout(this.#retry);
    this.redis.off('ready', this.#learnRunningId);
    this.registry.stop();
    this.replies.stop();
    this.audit.close();
    disconnectRedis(this.redis);
    disconnectRedis(this.#subscriber);
  }
}
