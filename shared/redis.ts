/** Connections to Redis: how a process reaches it, notices that it is gone, and waits no longer than it may. */
import { Redis, type RedisOptions } from 'ioredis';
import type { Config } from './config.ts';
import { messageOf, RedisUnavailableError } from './errors.ts';
import type { Logger } from './logger.ts';

export type { Redis } from 'ioredis';

/** What a connection is for: its name in `CLIENT LIST`, and whether a caller would rather fail than wait. */
export interface ConnectionPurpose {
  name: string;
  /** Fail a command that has no answer after this many milliseconds. Left out: wait until Redis is back. */
  commandTimeoutMs?: number;
  /** It spends its life in blocking commands. */
  blocking?: true;
}

/** How long an API call waits for a connection that is being made again, in milliseconds. */
const READY_WAIT_MS = 1000;

/** How long an API call waits for the answer to one command, in milliseconds: with READY_WAIT_MS under the 2 s of a 503. */
export const API_COMMAND_TIMEOUT_MS = 900;

/**
 * A connection that waits for an answer this long is taken for dead and made anew, in milliseconds: a cut network reports nothing.
 * Longer than the longest blocking command (5 s).
 */
const SILENCE_MS = 8000;

/** How often an idle connection is asked for a sign of life, in milliseconds. */
const PING_MS = 2000;

/** Makes a connection that reconnects for ever: 50 ms after a loss, then twice as long each time, up to 1 s. */
export function connectRedis(settings: Config['redis'], purpose: ConnectionPurpose, log: Logger): Redis {
  const options = {
    connectionName: purpose.name,
    maxRetriesPerRequest: null,
    connectTimeout: 5000,
    keepAlive: 10_000,
    socketTimeout: SILENCE_MS,
    retryStrategy: (attempt) => Math.min(1000, 50 * 2 ** Math.min(attempt - 1, 5)),
    ...(purpose.commandTimeoutMs === undefined ? {} : { commandTimeout: purpose.commandTimeoutMs }),
  } satisfies RedisOptions;
  const redis =
    settings.url === undefined
      ? new Redis({ ...options, host: settings.host, port: settings.port, password: settings.password })
      : new Redis(settings.url, options);
  let reported = '';
  redis.on('error', (error: Error) => {
    // One line for each new reason: a reconnecting client repeats the same one every second.
    if (error.message === reported) return;
    reported = error.message;
    log.warn({ connection: purpose.name, reason: error.message }, 'redis.connection_failed');
  });
  redis.on('ready', () => {
    if (reported !== '') log.info({ connection: purpose.name }, 'redis.connection_restored');
    reported = '';
  });
  if (!purpose.blocking) keepAsking(redis);
  return redis;
}

/** Sends a ping now and then, so that silence is noticed on a connection that only listens. */
function keepAsking(redis: Redis): void {
  const timer = setInterval(() => {
    if (redis.status === 'ready') redis.ping().catch(() => {});
  }, PING_MS).unref();
  redis.once('end', () => clearInterval(timer));
}

/**
 * Runs a request's Redis work and turns "Redis is gone, full or silent" into the 503 that a client may repeat.
 * @throws RedisUnavailableError within READY_WAIT_MS plus the connection's command timeout
 */
export async function answering<T>(redis: Redis, work: () => Promise<T>): Promise<T> {
  if (redis.status !== 'ready') await untilReady(redis);
  try {
    return await work();
  } catch (error) {
    if (isUnavailable(error)) throw new RedisUnavailableError(messageOf(error));
    throw error;
  }
}

function untilReady(redis: Redis): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: Error) => {
      clearTimeout(timer);
      redis.off('ready', settle);
      if (error === undefined) resolve();
      else reject(error);
    };
    const timer = setTimeout(() => settle(new RedisUnavailableError(`no connection (${redis.status})`)), READY_WAIT_MS);
    redis.once('ready', settle);
  });
}

/** Replies and client errors that mean "not now" rather than "never": Redis' error codes, and ioredis' own messages. */
const UNAVAILABLE =
  /^(OOM|LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|BUSY|MISCONF|NOREPLICAS|NOAUTH|WRONGPASS|UNKILLABLE)\b|Command timed out|Connection is closed|Stream isn't writeable|max retries per request|ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENOTFOUND/;

/** Whether Redis is gone, full or busy, so that the same work may go through later. */
export function isUnavailable(error: unknown): boolean {
  return UNAVAILABLE.test(messageOf(error));
}

/** Ends a connection for good, at once. Safe to call twice. */
export function disconnectRedis(redis: Redis): void {
  redis.disconnect();
}
