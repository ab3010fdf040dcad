import { randomInt } from 'node:crypto';
import type { Redis } from './redis.ts';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const LENGTH = 8;

const runningIdKey = (prefix: string) => `${prefix}:running_id`;

/**
 * The installation's running id: the configured one, or one that is made once, so that ids outlive restarts. Either is kept in
 * Redis, where every other process finds it.
 */
export async function obtainRunningId(redis: Redis, prefix: string, configured: string | undefined): Promise<string> {
  const key = runningIdKey(prefix);
  if (configured !== undefined) {
    await redis.set(key, configured);
    return configured;
  }
  const proposed = Array.from({ length: LENGTH }, () => ALPHABET[randomInt(ALPHABET.length)]).join('');
  await redis.set(key, proposed, 'NX');
  return (await redis.get(key)) ?? proposed;
}

/** The running id that stands in Redis: another one than this process' own has been set by another master. */
export async function storedRunningId(redis: Redis, prefix: string): Promise<string | undefined> {
  return (await redis.get(runningIdKey(prefix))) ?? undefined;
}
