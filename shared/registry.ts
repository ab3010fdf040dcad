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

/** The keys of the registry: one hash tag, so all of them lie on one shard. */
export function registryKeys(prefix: string) {
  const base = `${prefix}:{registry}:`;
  return {
    /** Descriptors by name. */
    tasks: `${base}tasks`,
    /** The digest that is served, by name; when a version was first seen, by `name digest`. */
    digests: `${base}digests`,
    /** When a task was last seen, by name, and when a version was, by `name digest`; seconds since 1970. */
    seen: `${base}seen`,
    /** For how many seconds results are kept and when that was last said, by name. */
    kept: `${base}kept`,
    /** Descriptors of tasks that are about to be forgotten, by name. */
    retired: `${base}retired`,
    version: `${base}version`,
    upkeep: `${base}upkeep`,
    channel: `${base}changed`,
  };
}

/** A version that nobody has published for this long is served no more where another one is, in seconds: three publications missed. */
const ABSENT_SECONDS = 180;

// Of the versions of a task that are in use, the one whose digest was first seen last wins, in whatever order its consumers come and go.
// KEYS tasks digests seen version kept retired · ARGV name digest descriptor channel absent(s) results kept(s)
const PUBLISH = `
local name, digest = ARGV[1], ARGV[2]
local now = tonumber(redis.call('TIME')[1])
local version = name .. ' ' .. digest
redis.call('HSETNX', KEYS[2], version, now)
redis.call('HSET', KEYS[3], name, now, version, now)
redis.call('HDEL', KEYS[6], name)
-- The longest time for which results are kept holds until every result that was promised it has expired.
local seconds, said = string.match(redis.call('HGET', KEYS[5], name) or '', '^(%S+) (%S+)$')
if not seconds or tonumber(ARGV[6]) >= tonumber(seconds) or said + seconds < now then
  redis.call('HSET', KEYS[5], name, ARGV[6] .. ' ' .. now)
end
local current = redis.call('HGET', KEYS[2], name)
if current == digest then return 'kept' end
if current then
  local other = name .. ' ' .. current
  local theirs = tonumber(redis.call('HGET', KEYS[2], other) or '0')
  local absent = now - tonumber(redis.call('HGET', KEYS[3], other) or '0')
  if absent <= tonumber(ARGV[5]) and theirs > tonumber(redis.call('HGET', KEYS[2], version)) then return 'outdated ' .. current end
end
redis.call('HSET', KEYS[2], name, digest)
redis.call('HSET', KEYS[1], name, ARGV[3])
redis.call('PUBLISH', ARGV[4], redis.call('INCR', KEYS[4]))
return 'published'
`;

/** `kept`: it stood there already; `outdated`: a newer version of its file stands there, the one with the digest `served`. */
export type PublishOutcome = { outcome: 'kept' | 'published' } | { outcome: 'outdated'; served: string };

/**
 * Publishes a task, or says that it is still there.
 * @param resultExpiresSeconds for how long the publishing consumer keeps results
 */
export async function publishTask(
  redis: Redis,
  prefix: string,
  task: TaskDescriptor,
  resultExpiresSeconds: number,
): Promise<PublishOutcome> {
  const keys = registryKeys(prefix);
  const { meta, marker } = taskKeys(prefix, task.name);
  // No copy of every result in an events stream: adds are 1.4 times as fast, and nobody reads it.
  await redis.pipeline().hset(meta, 'opts.maxLenEvents', 0).persist(meta).persist(marker).exec();
  const list = [keys.tasks, keys.digests, keys.seen, keys.version, keys.kept, keys.retired];
  const args = [task.name, task.digest, JSON.stringify(task), keys.channel, ABSENT_SECONDS, resultExpiresSeconds];
  const said = String(await redis.eval(PUBLISH, list.length, ...list, ...args));
  if (said === 'kept' || said === 'published') return { outcome: said };
  return { outcome: 'outdated', served: said.slice('outdated '.length) };
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
