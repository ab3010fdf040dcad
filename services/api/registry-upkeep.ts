/**
 * What one API process of an installation does for all: forgets tasks that have expired, frees results of tasks that no
 * consumer serves, and tells of conflicts between versions.
 */
import { randomUUID } from 'node:crypto';
import { messageOf } from '../../shared/errors.ts';
import type { Jobs } from '../../shared/jobs.ts';
import type { Logger } from '../../shared/logger.ts';
import { type ConsumerStatus, onlineConsumers } from '../../shared/presence.ts';
import type { Redis } from '../../shared/redis.ts';
import type { RegistryView } from '../../shared/registry.ts';
import { expireTasks, keptSeconds, looksAfterRegistry, retiredTasks } from '../../shared/registry-expiry.ts';
import { conflictsOf } from './conflicts.ts';

/** How often it is done at most, and at least, in milliseconds; twice within REGISTRY_EXPIRES. */
const SHORTEST_MS = 500;
const LONGEST_MS = 10_000;

export interface RegistryUpkeepOptions {
  redis: Redis;
  prefix: string;
  registry: RegistryView;
  /** REGISTRY_EXPIRES. */
  expiresSeconds: number;
  /** For results of which no consumer has said how long they are kept, in seconds. */
  resultExpiresSeconds: number;
  /** Throws while this process cannot serve jobs. */
  jobs: () => Jobs;
  log: Logger;
}

export class RegistryUpkeep {
  readonly #options: RegistryUpkeepOptions;
  readonly #periodMs: number;
  readonly #processId = randomUUID();
  #told = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #busy = false;

  constructor(options: RegistryUpkeepOptions) {
    this.#options = options;
    this.#periodMs = Math.max(SHORTEST_MS, Math.min(LONGEST_MS, options.expiresSeconds * 500));
  }

  start(): void {
    this.#timer ??= setInterval(() => void this.#turn(), this.#periodMs);
  }

  /** Another process takes over within three periods. Safe to call twice. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  async #turn(): Promise<void> {
    const { redis, prefix, log } = this.#options;
    if (this.#busy || redis.status !== 'ready') return;
    this.#busy = true;
    try {
      if (await looksAfterRegistry(redis, prefix, this.#processId, 3 * this.#periodMs)) await this.#lookAfter();
    } catch (error) {
      log.warn({ reason: messageOf(error) }, 'registry.upkeep_failed');
    } finally {
      this.#busy = false;
    }
  }

  async #lookAfter(): Promise<void> {
    const { redis, prefix, registry, expiresSeconds, log } = this.#options;
    const consumers = await onlineConsumers(redis, prefix);
    await registry.refresh();
    this.#tellConflicts(consumers);
    await this.#sweep(new Set(consumers.flatMap(({ tasks }) => tasks)));
    const online = new Set(
      consumers.flatMap(({ digests }) => Object.entries(digests).flatMap(([task, digest]) => [task, `${task} ${digest}`])),
    );
    const { retired, restored, forgotten } = await expireTasks({ redis, prefix, expiresSeconds, online });
    for (const task of retired) log.info({ task, expiresSeconds }, 'task.retired');
    for (const task of restored) log.info({ task }, 'task.restored');
    for (const task of forgotten) log.info({ task }, 'task.forgotten');
  }

  /** Frees expired results of tasks that have no consumer to do so. */
  async #sweep(served: ReadonlySet<string>): Promise<void> {
    const { redis, prefix, registry, resultExpiresSeconds, jobs } = this.#options;
    const left = [...registry.tasks.keys(), ...(await retiredTasks(redis, prefix))].filter((task) => !served.has(task));
    if (left.length === 0) return;
    const promised = await keptSeconds(redis, prefix);
    for (const task of left) await jobs().sweep(task, promised.get(task) ?? resultExpiresSeconds);
  }

  /** One line for each version that is not served, when it appears. */
  #tellConflicts(consumers: readonly ConsumerStatus[]): void {
    const { registry, log } = this.#options;
    const now = new Set<string>();
    for (const { task, served, others } of conflictsOf(consumers, registry.tasks.values())) {
      for (const { digest, workers } of others) {
        const conflict = `${task} ${served} ${digest}`;
        now.add(conflict);
        if (!this.#told.has(conflict)) log.warn({ task, served, digest, workers }, 'task.conflicted');
      }
    }
    this.#told = now;
  }
}
