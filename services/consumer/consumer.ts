/** A consumer: loaded tasks, threads, lanes and the dispatcher that joins them, with one start and one stop. */
import { availableParallelism, hostname } from 'node:os';
import type { Config } from '../../shared/config.ts';
import { messageOf } from '../../shared/errors.ts';
import { FileStore } from '../../shared/files.ts';
import { consumerStamp } from '../../shared/job-state.ts';
import type { Logger } from '../../shared/logger.ts';
import type { ConsumerStatus } from '../../shared/presence.ts';
import { PACKAGE_VERSION, PROTOCOL } from '../../shared/protocol.ts';
import { connectListener, isCluster, type Redis } from '../../shared/redis.ts';
import { type PublishOutcome, publishTask, type TaskDescriptor } from '../../shared/registry.ts';
import type { Claim } from './claim.ts';
import { Dispatcher } from './dispatcher.ts';
import { FileLeases } from './file-leases.ts';
import { JobMessages } from './job-messages.ts';
import { Lane } from './lane.ts';
import { MasterApi } from './master-api.ts';
import { ProcessPool } from './process-pool.ts';
import { Processor } from './processor.ts';
import { RemoteFiles } from './remote-files.ts';
import { RevokeListener } from './revoke-listener.ts';
import type { StopCause } from './running-job.ts';
import { StuckThreads } from './stuck-threads.ts';
import type { LoadedTask } from './task-files.ts';
import { ThreadPool } from './thread-pool.ts';
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

/** MiB of heap that a thread may have, unless a task asks for more. */
const HEAP_LIMIT = 1024;

/** How long a task with `onRevoke` may clean up, in milliseconds. */
const CLEAN_UP_MS = 5000;

/** Where many jobs share a thread, a job that is told to stop may end by itself this long, to spare the others, in milliseconds. */
const SHARED_THREAD_GRACE_MS = 300;

/** How long a stopping consumer waits for Redis to take its last words, in milliseconds. */
const WRITE_MS = 2000;

export class Consumer {
  readonly name: string;
  readonly #options: ConsumerOptions;
  readonly #startedAt = Date.now();
  readonly #threads: ThreadPool;
  readonly #processes: ProcessPool;
  readonly #processor: Processor;
  readonly #messages: JobMessages;
  readonly #leases: FileLeases;
  readonly #remoteFiles: RemoteFiles;
  readonly #lanes: readonly Lane[];
  readonly #dispatcher: Dispatcher;
  readonly #revokes: RevokeListener;
  readonly #upkeep: Upkeep;
  readonly #stuck: StuckThreads;
  #publishTimer: NodeJS.Timeout | undefined;
  /** The newer versions that were told of in the log, by task. */
  readonly #outdatedBy = new Map<string, string>();
  #draining = false;

  constructor(options: ConsumerOptions) {
    const { config, tasks, redis, log, slots } = options;
    const { prefix } = config.redis;
    const { tasks: tasksDir, files: filesDir } = config.dirs;
    this.#options = options;
    this.name = `${config.consumer.tag}@${hostname()}.${process.pid}`;
    const store = new FileStore(filesDir);
    const remoteFiles = config.nodeType === 'distributed_worker' && !config.files.shared;
    this.#leases = new FileLeases(store, log);
    this.#remoteFiles = new RemoteFiles(new MasterApi(config.consumer.masterApiUrl, redis, config.redis), store, log);
    this.#messages = new JobMessages({
      redis,
      prefix,
      keepSeconds: config.consumer.resultExpiresSeconds + config.limits.hardSeconds + 3600,
      log,
      leases: this.#leases,
      fetch: (id, name) => void this.#fetch(id, name),
      taskOf: (id) => this.#processor.running.get(id)?.claim.lane.name,
    });
    const place = { tasksDir, filesDir, remoteFiles, onMessage: this.#messages.take.bind(this.#messages) };
    this.#threads = new ThreadPool({
      ...place,
      slots,
      threads: config.consumer.pool === 'threads' ? slots : Math.min(slots, availableParallelism()),
      maxJobsPerThread: config.consumer.maxJobsPerThread,
      minThreadMs: config.consumer.minThreadMs,
      heapLimit: Math.max(HEAP_LIMIT, ...tasks.map(({ memoryLimit = 0 }) => memoryLimit)),
      onError: (reason, threadsLeft) => {
        log.warn({ reason, threadsLeft }, 'thread.failed');
        // Nothing would start them again; the supervisor starts this process again.
        if (threadsLeft === 0) throw new Error(`expected threads to run jobs in, got none: ${reason}`);
      },
    });
    this.#processes = new ProcessPool(place);
    this.#stuck = new StuckThreads({
      log,
      takeNothing: () => void this.#dispatcher.stop(),
      handBackOthers: () => this.#handBack(),
      finish: (job) => this.#processor.finishStuck(job),
    });
    this.#processor = new Processor({
      threads: this.#threads,
      // Where many jobs share a thread they run at the same time anyway; and who set how many a thread may run, means it.
      chains: config.consumer.pool === 'threads' && config.consumer.minThreadMs > 0,
      processes: this.#processes,
      graceMs: (cause, claim) => this.#graceMs(cause, claim),
      redis,
      prefix,
      limits: config.limits,
      resultMaxBytes: config.consumer.resultMaxBytes,
      log,
      onStuck: (job) => this.#stuck.take(job),
      deliver: (names, owner, signal) => this.#remoteFiles.deliver(names, owner, signal),
      onOver: (id) => {
        this.#remoteFiles.drop(id);
        this.#messages.endChildren(id);
        this.#leases.drop(id);
      },
    });
    const stamp = consumerStamp(this.name, config.consumer.resultExpiresSeconds);
    this.#lanes = tasks.map((task) => new Lane({ task, redis, prefix, stamp, log }));
    this.#dispatcher = new Dispatcher({
      lanes: this.#lanes,
      slots,
      redis,
      // On a cluster no command can name the keys of several tasks, so each lane's marker is waited for by itself.
      listeners: (isCluster(redis) ? this.#lanes.map((lane) => [lane]) : [this.#lanes]).map((lanes) => ({
        lanes,
        connection: connectListener(config.redis, { name: `${this.name}:wait` }, log),
      })),
      log,
      execute: (claims, free) => this.#processor.execute(claims, free),
      mayFollow: (claim, first) => this.#processor.mayFollow(claim, first),
    });
    const subscriber = connectListener(config.redis, { name: `${this.name}:revokes` }, log);
    this.#revokes = new RevokeListener(subscriber, prefix, (id) => this.#processor.revoke(id));
    this.#upkeep = new Upkeep({
      lanes: this.#lanes,
      processor: this.#processor,
      redis,
      prefix,
      status: () => this.#status(),
      log,
      hearing: this.#dispatcher,
    });
  }

  /** Listens for revokes first, publishes the tasks, then takes jobs. Waits while Redis is away. */
  async start(): Promise<void> {
    const { log, slots } = this.#options;
    await this.#revokes.start();
    await this.#publish();
    this.#publishTimer = setInterval(this.#publishAgain, PUBLISH_MS);
    // A Redis that comes back may have lost what was published.
    this.#options.redis.on('ready', this.#publishAgain);
    await this.#upkeep.start();
    await Promise.all(this.#lanes.map((lane) => lane.start()));
    this.#leases.start();
    this.#dispatcher.start();
    log.info({ consumer: this.name, slots, tasks: this.#lanes.map(({ name }) => name) }, 'consumer.started');
  }

  /** Takes nothing new, waits for running jobs, hands the rest back after `drainMs`, and closes. Safe to call twice. */
  async stop(drainMs: number): Promise<void> {
    if (this.#draining) return;
    this.#draining = true;
    const { log, redis } = this.#options;
    log.info({ running: this.#processor.running.size }, 'consumer.stopping');
    clearInterval(this.#publishTimer);
    redis.off('ready', this.#publishAgain);
    void this.#upkeep.beat().catch(() => {});
    // It takes nothing new from here on. A blocking command whose connection was being made anew when it was cut never returns (ioredis 6.0).
    await atMost(WRITE_MS, this.#dispatcher.stop());
    const deadline = setTimeout(() => this.#handBack(), drainMs);
    // With Redis gone nothing can be written down: what runs is given its time, and is run again elsewhere.
    const patienceMs = redis.status === 'ready' || this.#processor.running.size > 0 ? drainMs + WRITE_MS : 0;
    await atMost(patienceMs, this.#dispatcher.drained());
    clearTimeout(deadline);
    this.#revokes.stop();
    this.#leases.stop();
    this.#remoteFiles.stop();
    await atMost(WRITE_MS, Promise.all([this.#messages.flush(), this.#upkeep.stop(), ...this.#lanes.map((lane) => lane.stop())]));
    await Promise.all([this.#threads.stop(), this.#processes.stop()]);
    log.info({ consumer: this.name }, 'consumer.stopped');
  }

  /** Ends all running jobs and gives them back to the queue, without the loss of an attempt. */
  #handBack(): void {
    for (const job of this.#processor.running.values()) this.#processor.stop(job, 'handed_back');
  }

  async #fetch(id: string, name: string): Promise<void> {
    const answer = await this.#remoteFiles.fetch(id, name);
    this.#processor.running.get(id)?.run.answer(answer);
  }

  #graceMs(cause: StopCause, { lane, suspect }: Claim): number {
    if (cause === 'revoked' && lane.task.onRevoke) return CLEAN_UP_MS;
    const alone = this.#options.config.consumer.pool === 'threads' || suspect || lane.task.isolation === 'process';
    return alone || cause === 'limit' || cause === 'handed_back' ? 0 : SHARED_THREAD_GRACE_MS;
  }

  readonly #publishAgain = (): void => {
    this.#publish().catch((error) => this.#options.log.warn({ reason: messageOf(error) }, 'task.publish_failed'));
  };

  async #publish(): Promise<void> {
    const { redis, config, tasks } = this.#options;
    for (const { module, ...descriptor } of tasks) {
      this.#onPublished(descriptor, await publishTask(redis, config.redis.prefix, descriptor, config.consumer.resultExpiresSeconds));
    }
  }

  #onPublished({ name: task, digest }: TaskDescriptor, published: PublishOutcome): void {
    const { log } = this.#options;
    if (published.outcome === 'published') log.info({ task, digest }, 'task.published');
    if (published.outcome !== 'outdated') {
      this.#outdatedBy.delete(task);
    } else if (this.#outdatedBy.get(task) !== published.served) {
      const { served } = published;
      this.#outdatedBy.set(task, served);
      const reason = `another worker has a newer version of ${task}: jobs are checked against that one's schema, and run here by this file`;
      log.warn({ task, digest, served, reason }, 'task.outdated');
    }
  }

  #status(): ConsumerStatus {
    const { config, slots } = this.#options;
    return {
      name: this.name,
      tag: config.consumer.tag,
      host: hostname(),
      pid: process.pid,
      nodeType: config.nodeType,
      version: PACKAGE_VERSION,
      protocol: PROTOCOL,
      startedAt: this.#startedAt,
      pool: config.consumer.pool,
      concurrency: slots,
      draining: this.#draining,
      tasks: this.#lanes.map(({ name }) => name),
      digests: Object.fromEntries(this.#lanes.map(({ name, task }) => [name, task.digest])),
      active: [...this.#processor.running.keys()],
      done: Object.fromEntries(this.#processor.done),
      maxRss: process.resourceUsage().maxRSS,
      resultExpiresSeconds: config.consumer.resultExpiresSeconds,
    };
  }
}

/** Waits for work, but no longer than `ms`; what it does after that is nobody's concern. */
async function atMost(ms: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const enough = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work, enough]).finally(() => clearTimeout(timer));
}
