/** A consumer: loaded tasks, threads, lanes and the dispatcher that joins them, with one start and one stop. */
import { hostname } from 'node:os';
import type { Config } from '../../shared/config.ts';
import { messageOf } from '../../shared/errors.ts';
import { consumerStamp } from '../../shared/job-state.ts';
import type { Logger } from '../../shared/logger.ts';
import type { ConsumerStatus } from '../../shared/presence.ts';
import { connectRedis, type Redis } from '../../shared/redis.ts';
import { publishTask } from '../../shared/registry.ts';
import { Dispatcher } from './dispatcher.ts';
import { Lane } from './lane.ts';
import { Processor } from './processor.ts';
import { RevokeListener } from './revoke-listener.ts';
import type { LoadedTask } from './task-files.ts';
import { ThreadPool } from './thread-pool.ts';
import type { ThreadMessage } from './thread-protocol.ts';
import { Upkeep } from './upkeep.ts';

export interface ConsumerOptions {
  config: Config;
  tasks: readonly LoadedTask[];
  redis: Redis;
  log: Logger;
  /** Slots of this process. */
  slots: number;
}

/** How often a task is published again, so that it stays known while it has a consumer, in milliseconds. */
const PUBLISH_MS = 60_000;

export class Consumer {
  readonly name: string;
  readonly #options: ConsumerOptions;
  readonly #startedAt = Date.now();
  readonly #pool: ThreadPool;
  readonly #processor: Processor;
  readonly #lanes: readonly Lane[];
  readonly #dispatcher: Dispatcher;
  readonly #revokes: RevokeListener;
  readonly #upkeep: Upkeep;
  #publishTimer: NodeJS.Timeout | undefined;
  #draining = false;

  constructor(options: ConsumerOptions) {
    const { config, tasks, redis, log, slots } = options;
    const { prefix } = config.redis;
    this.#options = options;
    this.name = `${config.consumer.tag}@${hostname()}.${process.pid}`;
    this.#pool = new ThreadPool({
      slots,
      maxJobsPerThread: config.consumer.maxJobsPerThread,
      tasksDir: config.dirs.tasks,
      onMessage: (message) => this.#onThreadMessage(message),
      onError: (reason) => log.warn({ reason }, 'thread.failed'),
    });
    this.#processor = new Processor({ pool: this.#pool, redis, prefix, limits: config.limits, resultMaxBytes: config.consumer.resultMaxBytes, log });
    const stamp = consumerStamp(this.name, config.consumer.resultExpiresSeconds);
    const onStalled = (jobId: string) => log.warn({ jobId }, 'job.recovered');
    this.#lanes = tasks.map((task) => new Lane({ task, redis, prefix, stamp, log, onStalled }));
    this.#dispatcher = new Dispatcher({
      lanes: this.#lanes,
      slots,
      redis,
      blocking: connectRedis(config.redis, { name: `${this.name}:wait` }, log),
      log,
      execute: (claim, mayFetchNext) => this.#processor.execute(claim, mayFetchNext),
    });
    const subscriber = connectRedis(config.redis, { name: `${this.name}:revokes` }, log);
    this.#revokes = new RevokeListener(subscriber, prefix, (id) => this.#processor.revoke(id));
    this.#upkeep = new Upkeep({ lanes: this.#lanes, processor: this.#processor, redis, prefix, status: () => this.#status(), log });
  }

  /** Listens for revokes first, publishes the tasks, then takes jobs. Waits while Redis is away. */
  async start(): Promise<void> {
    await this.#revokes.start();
    await this.#publish();
    this.#publishTimer = setInterval(() => void this.#publish().catch((error) => this.#options.log.warn({ reason: messageOf(error) }, 'task.publish_failed')), PUBLISH_MS);
    await this.#upkeep.start();
    await Promise.all(this.#lanes.map((lane) => lane.start()));
    this.#dispatcher.start();
    this.#options.log.info({ consumer: this.name, slots: this.#options.slots, tasks: this.#lanes.map(({ name }) => name) }, 'consumer.started');
  }

  /** Takes nothing new, waits for running jobs, hands the rest back after `drainMs`, and closes. Safe to call twice. */
  async stop(drainMs: number): Promise<void> {
    if (this.#draining) return;
    this.#draining = true;
    this.#options.log.info({ running: this.#processor.running.size }, 'consumer.stopping');
    clearInterval(this.#publishTimer);
    void this.#upkeep.beat().catch(() => {});
    await this.#dispatcher.stop();
    const deadline = setTimeout(() => this.handBack(), drainMs);
    await this.#dispatcher.drained();
    clearTimeout(deadline);
    this.#revokes.stop();
    await this.#upkeep.stop();
    await Promise.all(this.#lanes.map((lane) => lane.stop()));
    await this.#pool.stop();
    this.#options.log.info({ consumer: this.name }, 'consumer.stopped');
  }

  /** Ends the threads of all running jobs and gives the jobs back to the queue, without the loss of an attempt. */
  handBack(): void {
    for (const job of this.#processor.running.values()) job.stop('handed_back');
  }

  async #publish(): Promise<void> {
    const { redis, config, tasks, log } = this.#options;
    for (const { module, ...descriptor } of tasks) {
      const outcome = await publishTask(redis, config.redis.prefix, descriptor);
      if (outcome === 'published') log.info({ task: descriptor.name, digest: descriptor.digest }, 'task.published');
      if (outcome === 'outdated') log.warn({ task: descriptor.name, digest: descriptor.digest }, 'task.outdated');
    }
  }

  #onThreadMessage(message: ThreadMessage): void {
    const { log } = this.#options;
    if (message.type === 'progress') this.#processor.progress(message.id, message.value);
    else if (message.type === 'log') log[message.level]({ task: message.task, jobId: message.id, message: message.message, ...message.fields }, 'task.logged');
    else log.warn({ task: message.task, jobId: message.id, reason: message.text }, 'job.late_error');
  }

  #status(): ConsumerStatus {
    const { config, slots } = this.#options;
    return {
      name: this.name,
      host: hostname(),
      pid: process.pid,
      nodeType: config.nodeType,
      startedAt: this.#startedAt,
      pool: config.consumer.pool,
      concurrency: slots,
      draining: this.#draining,
      tasks: this.#lanes.map(({ name }) => name),
      active: [...this.#processor.running.keys()],
      done: Object.fromEntries(this.#processor.done),
      maxRss: process.resourceUsage().maxRSS,
      resultExpiresSeconds: config.consumer.resultExpiresSeconds,
    };
  }
}
