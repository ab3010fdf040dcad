/** Whether a Redis can keep jobs: its version, and that it throws nothing away. */
import { setTimeout as pause } from 'node:timers/promises';
import { FastTaskError, messageOf } from './errors.ts';
import type { Logger } from './logger.ts';
import { isUnavailable, mastersOf, type Redis } from './redis.ts';
import { isRecentRedis, OLDEST_REDIS } from './redis-version.ts';

/** Pause before a Redis that went away during the check is asked again, in milliseconds. */
const PAUSE_MS = 500;

/** A Redis that would lose jobs or cannot run the scripts; `message` is the one line that says so and what mends it. */
export class UnsuitableRedisError extends FastTaskError {
  constructor(message: string) {
    super('redis_unsuitable', 500, message);
  }
}

/**
 * Asks every master for its version and policy; waits while Redis is away. A Redis that does not tell (an ACL without INFO) is taken as it is.
 * @throws UnsuitableRedisError, or what ended the connection
 */
export async function checkRedisServer(redis: Redis, log: Logger): Promise<void> {
  for (;;) {
    try {
      await redis.ping();
      for (const master of mastersOf(redis)) judge(await master.info(), `${master.stream.remoteAddress}:${master.stream.remotePort}`);
      return;
    } catch (error) {
      if (error instanceof UnsuitableRedisError || redis.status === 'end') throw error;
      if (!isUnavailable(error)) return log.warn({ reason: messageOf(error) }, 'redis.not_checked');
      await pause(PAUSE_MS);
    }
  }
}

/** @throws UnsuitableRedisError for the first thing that is wrong */
function judge(info: string, place: string): void {
  const facts = new Map(info.split(/\r?\n/).map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]));
  const valkey = facts.get('valkey_version');
  // Valkey goes on telling the version of Redis that it is compatible with.
  const version = facts.get('redis_version') ?? valkey;
  const server = valkey === undefined ? `Redis ${version}` : `Valkey ${valkey}`;
  if (version !== undefined && !isRecentRedis(version)) {
    throw new UnsuitableRedisError(
      `${server} at ${place} is too old: expected Redis ${OLDEST_REDIS.join('.')} or later, or Valkey; upgrade the server`,
    );
  }
  const policy = facts.get('maxmemory_policy');
  if (policy !== undefined && policy !== 'noeviction') {
    throw new UnsuitableRedisError(
      `${server} at ${place} would throw jobs away: maxmemory-policy is ${policy}, expected noeviction; ` +
        'run `CONFIG SET maxmemory-policy noeviction` and write it into redis.conf, or set this parameter of the managed service',
    );
  }
}
