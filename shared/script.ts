/** Lua scripts of our own, sent by their digest. */
import { createHash } from 'node:crypto';
import { messageOf } from './errors.ts';
import type { Redis } from './redis.ts';

/** Runs one script on the keys and arguments that it takes, in their order, and returns what it returns. */
export type Script = (redis: Redis, keys: readonly string[], args: readonly (string | number | Buffer)[]) => Promise<unknown>;

/** The names of scripts by their digests, by which Redis' slow log knows them. */
export const scriptNames = new Map<string, string>();

/**
 * Makes a script of its text. Only its digest travels, unless Redis does not know the script (any more): after a restart, on another
 * server of a failover, on each shard of a cluster for itself.
 * @param name its first line, for whoever looks at what Redis runs
 * @param text Lua. On a cluster all of its keys must lie in one slot
 */
export function script(name: string, text: string): Script {
  const body = `-- ${name}\n${text}`;
  const digest = createHash('sha1').update(body).digest('hex');
  scriptNames.set(digest, name);
  return async (redis, keys, args) => {
    try {
      return await redis.evalsha(digest, keys.length, ...keys, ...args);
    } catch (error) {
      if (!messageOf(error).startsWith('NOSCRIPT')) throw error;
      return await redis.eval(body, keys.length, ...keys, ...args);
    }
  };
}
