/** How the nodes of one installation know each other: by the password of their queue, and by a secret that the queue keeps. */
import { hkdfSync, randomBytes } from 'node:crypto';
import type { RedisSettings } from './config-redis.ts';
import type { Redis } from './redis.ts';
import { parseRedisUrl } from './redis-address.ts';

/** What a node puts before its credential in the Authorization header. */
export const NODE_SCHEME = 'FastTask-Node';

const BYTES = 32;

/**
 * The credential of every node, as base64url: HKDF-SHA256 of the queue's password, with a random salt that is made once and kept in Redis.
 * Who can read Redis and knows its password is a node; another TASK_QUEUE_PASSWD, or a Redis that has lost its data, makes another credential.
 */
export async function nodeCredential(redis: Redis, settings: RedisSettings): Promise<string> {
  const key = `${settings.prefix}:node_salt`;
  let salt = await redis.get(key);
  if (salt === null) {
    await redis.set(key, randomBytes(BYTES).toString('base64url'), 'NX');
    salt = (await redis.get(key)) ?? '';
  }
  return Buffer.from(hkdfSync('sha256', sharedPassword(settings), salt, 'fasttask node', BYTES)).toString('base64url');
}

/** The password that all nodes have: with users of their own (ACL) there is none, and the salt alone makes the credential. */
function sharedPassword({ url, password }: RedisSettings): string {
  if (url === undefined) return password;
  const address = parseRedisUrl(url);
  return address.username === undefined || address.username === 'default' ? (address.password ?? '') : '';
}
