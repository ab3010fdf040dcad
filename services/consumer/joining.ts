/** A consumer's way into its installation: it waits for Redis and for its own protocol, and says what stands in the way. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Config } from '../../shared/config.ts';
import { createLogger, type Logger } from '../../shared/logger.ts';
import { claimProtocol, PROTOCOL, protocolRefusal } from '../../shared/protocol.ts';
import { connectRedis, disconnectRedis, type Redis } from '../../shared/redis.ts';
import { type RedisObstacle, redisObstacle, redisPlace } from '../../shared/redis-obstacle.ts';

type RedisSettings = Config['redis'];

/** How long one try may take, in milliseconds: longer than a connection may need (5 s). */
const TRY_MS = 6000;

/** Pauses between tries, in milliseconds: the first, doubled each time, up to the longest. Redis may come at any moment; a mistake stays. */
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = { comes: 2000, stays: 15_000 };

/** How often the same obstacle is told again, in milliseconds. */
const REPEAT_MS = 60_000;

/** What keeps a consumer out. */
interface Obstacle extends RedisObstacle {
  event: 'redis.connection_failed' | 'protocol.refused';
}

/** Returns when Redis lets this consumer in and the installation speaks its protocol. Tries for ever. */
export async function joinInstallation(settings: RedisSettings, log: Logger): Promise<void> {
  /** When each obstacle was told: two may take turns, as where one side of TLS refuses the other. */
  const told = new Map<string, number>();
  let pauseMs = FIRST_PAUSE_MS;
  for (;;) {
    const obstacle = await findObstacle(settings);
    if (obstacle === undefined) break;
    const { event, stays, reason } = obstacle;
    if (!told.has(reason)) pauseMs = FIRST_PAUSE_MS;
    if (performance.now() - (told.get(reason) ?? Number.NEGATIVE_INFINITY) >= REPEAT_MS) {
      log.warn({ reason }, event);
      told.set(reason, performance.now());
    }
    await pause(pauseMs);
    pauseMs = Math.min(2 * pauseMs, stays ? LONGEST_PAUSE_MS.stays : LONGEST_PAUSE_MS.comes);
  }
  if (told.size > 0) log.info({ redis: redisPlace(settings) }, 'installation.joined');
}

/** One try over a connection of its own, whose own lines in the log would say the same in fewer words. */
async function findObstacle(settings: RedisSettings): Promise<Obstacle | undefined> {
  const redis = connectRedis(
    settings,
    { name: 'consumer:joining', commandTimeoutMs: TRY_MS },
    createLogger('silent', { service: 'consumer' }),
  );
  try {
    await connected(redis);
    const installation = await claimProtocol(redis, settings.prefix);
    if (installation === PROTOCOL) return undefined;
    return { event: 'protocol.refused', stays: true, reason: protocolRefusal('worker', installation) };
  } catch (error) {
    return { event: 'redis.connection_failed', ...redisObstacle(error, settings) };
  } finally {
    disconnectRedis(redis);
  }
}

/** @throws Error the first fault of the connection, or when there is neither a fault nor a connection in time */
async function connected(redis: Redis): Promise<void> {
  if (redis.status === 'ready') return;
  let timer: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer in ${TRY_MS / 1000} s`)), TRY_MS);
      redis.once('ready', resolve);
      redis.once('error', reject);
      redis.once('close', () => reject(new Error('the connection was closed without an answer')));
    });
  } finally {
    clearTimeout(timer);
  }
}
