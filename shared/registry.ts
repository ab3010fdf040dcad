/**
 * The registry: which tasks exist, kept in Redis. Consumers publish what they loaded; the API serves whatever stands here
 * and never imports a task.
 */
import { messageOf } from './errors.ts';
import { taskKeys } from './job-scripts.ts';
import type { Logger } from './logger.ts';
import type { Redis } from './redis.ts';
import type { RetryOptions } from './task.ts';

/** A JSON Schema (draft 2020-12) as plain data. */
export type JsonSchema = Record<string, unknown>;

/** All that the API knows of a task. */
export interface TaskDescriptor extends RetryOptions {
  name: string;
  description: string;
  params: JsonSchema;
  result: JsonSchema;
  /** Seconds; left out where the installation's limits hold. */
  softTimeLimit?: number;
  timeLimit?: number;
  /** Waiting jobs above which further ones are refused. */
  maxWaiting?: number;
  /** Digest of the compiled task file with its helpers. */
  digest: string;
}

function registryKeys(prefix: string) {
  const base = `${prefix}:{registry}:`;
  return { tasks: `${base}tasks`, digests: `${base}digests`, seen: `${base}seen`, version: `${base}version`, channel: `${base}changed` };
}

// Of two versions of a task, the one whose digest was first seen last wins, in whatever order its consumers come and go.
// KEYS tasks digests seen version · ARGV name digest descriptor channel
const PUBLISH = `
local now = redis.call('TIME')[1]
local seen = ARGV[1] .. ' ' .. ARGV[2]
redis.call('HSETNX', KEYS[2], seen, now)
redis.call('HSET', KEYS[3], ARGV[1], now)
local current = redis.call('HGET', KEYS[2], ARGV[1])
if current == ARGV[2] then return 'kept' end
if current then
  local theirs = tonumber(redis.call('HGET', KEYS[2], ARGV[1] .. ' ' .. current) or '0')
  if theirs > tonumber(redis.call('HGET', KEYS[2], seen)) then return 'outdated' end
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('PUBLISH', ARGV[4], redis.call('INCR', KEYS[4]))
return 'published'
`;

export type PublishOutcome = 'kept' | 'outdated' | 'published';

/** Publishes a task. `kept`: it stood there already; `outdated`: a newer version of its file stands there. */
export async function publishTask(redis: Redis, prefix: string, task: TaskDescriptor): Promise<PublishOutcome> {
  const keys = registryKeys(prefix);
  // No copy of every result in an events stream: adds are 1.4 times as fast, and nobody reads it.
  await redis.hset(taskKeys(prefix, task.name).meta, 'opts.maxLenEvents', 0);
  const list = [keys.tasks, keys.digests, keys.seen, keys.version];
  return (await redis.eval(PUBLISH, list.length, ...list, task.name, task.digest, JSON.stringify(task), keys.channel)) as PublishOutcome;
}

/** How often a copy of the registry asks whether it is current, in milliseconds. */
const POLL_MS = 2000;

/** A process' own copy of the registry, kept current by pub/sub and, in case a message is missed, by asking every 2 s. */
export class RegistryView {
  /** Every known task by name. Replaced, never changed in place. */
  tasks: ReadonlyMap<string, TaskDescriptor> = new Map();
  /** Changes with every reload: whoever derives something from `tasks` compares it. */
  version = -1;
  readonly #redis: Redis;
  readonly #subscriber: Redis;
  readonly #keys: ReturnType<typeof registryKeys>;
  readonly #log: Logger;
  #timer: NodeJS.Timeout | undefined;
  #reading: Promise<void> | undefined;

  /** @param subscriber a connection in subscriber mode, shared with other listeners of this process */
  constructor(redis: Redis, subscriber: Redis, prefix: string, log: Logger) {
    this.#redis = redis;
    this.#subscriber = subscriber;
    this.#keys = registryKeys(prefix);
    this.#log = log;
  }

  /** Whether the registry was read at least once. */
  get loaded(): boolean {
    return this.version >= 0;
  }

  /** Starts to follow the registry; returns at once, also while Redis is away. */
  start(): void {
    if (this.#timer !== undefined) return;
    this.#subscriber.on('message', this.#onMessage);
    this.#subscriber.subscribe(this.#keys.channel).catch(() => {});
    this.#timer = setInterval(() => void this.refresh(), POLL_MS);
    void this.refresh();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#subscriber.off('message', this.#onMessage);
  }

  /** Reads the registry again when its version has changed. Calls at the same time share one reading. */
  refresh(): Promise<void> {
    this.#reading ??= this.#read()
      .catch((error) => this.#log.debug({ reason: messageOf(error) }, 'registry.read_failed'))
      .finally(() => {
        this.#reading = undefined;
      });
    return this.#reading;
  }

  readonly #onMessage = (channel: string): void => {
    if (channel === this.#keys.channel) void this.refresh();
  };

  async #read(): Promise<void> {
    const version = Number((await this.#redis.get(this.#keys.version)) ?? 0);
    if (version === this.version) return;
    const stored = await this.#redis.hgetall(this.#keys.tasks);
    const names = Object.keys(stored).sort();
    this.tasks = new Map(names.map((name) => [name, JSON.parse(stored[name] ?? '') as TaskDescriptor]));
    this.version = version;
    this.#log.info({ version, tasks: names }, 'registry.loaded');
  }
}
