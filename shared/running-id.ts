import { randomInt } from 'node:crypto';
import type { Redis } from './redis.ts';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const LENGTH = 8;

/** The installation's running id: the configured one, or one that is made once and kept in Redis, so ids outlive restarts. */
export async function obtainRunningId(redis: Redis, prefix: string, configured: string | undefined): Promise<string> {
  if (configured !== undefined) return configured;
  const key = `${prefix}:running_id`;
  const proposed = Array.from({ length: LENGTH }, () => ALPHABET[randomInt(ALPHABET.length)]).join('');
  await redis.set(key, proposed, 'NX');
  return (await redis.get(key)) ?? proposed;
}
