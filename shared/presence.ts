/** Which consumers are online and what they do: each beats every 2 s into one hash, stamped with Redis' own clock. */
import type { Redis } from './redis.ts';
import { script } from './script.ts';

/** What a consumer tells of itself. */
export interface ConsumerStatus {
  /** `<tag>@<host>.<pid>`, unique while it lives. */
  name: string;
  tag: string;
  host: string;
  pid: number;
  nodeType: string;
  /** FastTask's version and the protocol that it speaks. */
  version: string;
  protocol: number;
  /** Milliseconds since 1970. */
  startedAt: number;
  pool: string;
  /** Slots. */
  concurrency: number;
  draining: boolean;
  tasks: string[];
  /** The digest of each task's file. */
  digests: Record<string, string>;
  /** Ids of running jobs. */
  active: string[];
  /** Jobs done since the start, by task. */
  done: Record<string, number>;
  /** Largest resident memory so far, in KiB. */
  maxRss: number;
  /** Seconds for which this consumer's results are kept. */
  resultExpiresSeconds: number;
}

export const BEAT_MS = 2000;

/** A consumer that has not beaten for this long is not online. */
const ONLINE_SECONDS = 8;

/** The record of one that has not beaten for this long is removed. */
const FORGET_SECONDS = 120;

const consumersKey = (prefix: string) => `${prefix}:consumers`;

const BEAT = script('beat', `return redis.call('HSET', KEYS[1], ARGV[1], redis.call('TIME')[1] .. ' ' .. ARGV[2])`);

/** Writes a consumer's status. */
export async function beat(redis: Redis, prefix: string, status: ConsumerStatus): Promise<void> {
  await BEAT(redis, [consumersKey(prefix)], [status.name, JSON.stringify(status)]);
}

/** Removes a consumer that ends in order. */
export async function signOff(redis: Redis, prefix: string, name: string): Promise<void> {
  await redis.hdel(consumersKey(prefix), name);
}

/** A consumer that is online, and when it was last heard of, in milliseconds since 1970 by Redis' clock. */
export type OnlineConsumer = ConsumerStatus & { seenAt: number };

/** The consumers that are online now, by name. */
export async function onlineConsumers(redis: Redis, prefix: string): Promise<OnlineConsumer[]> {
  const [time, records] = await Promise.all([redis.time(), redis.hgetall(consumersKey(prefix))]);
  const now = Number(time[0]);
  const online: OnlineConsumer[] = [];
  for (const [name, record] of Object.entries(records)) {
    const space = record.indexOf(' ');
    const seenAt = Number(record.slice(0, space));
    const age = now - seenAt;
    if (age <= ONLINE_SECONDS) online.push({ ...(JSON.parse(record.slice(space + 1)) as ConsumerStatus), seenAt: seenAt * 1000 });
    else if (age > FORGET_SECONDS) await redis.hdel(consumersKey(prefix), name);
  }
  return online.sort((a, b) => a.name.localeCompare(b.name));
}
