import { setTimeout as pause } from 'node:timers/promises';
import { createLogger } from '../../shared/logger.ts';
import { connectRedis, disconnectRedis } from '../../shared/redis.ts';
import { redisObstacle } from '../../shared/redis-obstacle.ts';
import { checkRedisServer } from '../../shared/redis-server-check.ts';
import type { Installation } from './installation.ts';

/** How long a start waits for a Redis that it does not start itself, in milliseconds. */
const PATIENCE_MS = 3000;

/**
 * Looks at a Redis that is not this node's own before anything is started. One that does not answer is no reason not to start: the services
 * wait for it.
 * @returns whether it answers
 * @throws UnsuitableRedisError
 */
export async function checkExternalRedis({ config, say, signal }: Pick<Installation, 'config' | 'say' | 'signal'>): Promise<boolean> {
  const log = createLogger('silent', { service: 'supervisor' });
  let fault: Error = new Error('no answer');
  const redis = connectRedis(config.redis, { name: 'supervisor' }, log);
  redis.on('error', (error: Error) => {
    fault = error;
  });
  const late = new AbortController();
  const waiting = pause(PATIENCE_MS, false, { signal: AbortSignal.any([late.signal, signal]) }).catch(() => undefined);
  const checked = checkRedisServer(redis, log).then(() => true);
  // Told above, or too late to matter.
  checked.catch(() => {});
  try {
    const answers = (await Promise.race([checked, waiting])) !== false;
    if (!answers) say(`no connection to Redis yet, the services go on trying: ${redisObstacle(fault, config.redis).reason}`);
    return answers;
  } finally {
    late.abort();
    disconnectRedis(redis);
  }
}
