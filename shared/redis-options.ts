/** The settings of a connection, in ioredis' words. */
import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import type { RedisSettings } from './config-redis.ts';
import { parseRedisUrl, type RedisAddress } from './redis-address.ts';

/** What a connection is for: its name in `CLIENT LIST`, and whether a caller would rather fail than wait. */
export interface ConnectionPurpose {
  name: string;
  /** Fail a command that has no answer after this many milliseconds. Left out: wait until Redis is back. */
  commandTimeoutMs?: number;
}

/**
 * A connection that waits for an answer this long is taken for dead and made anew, in milliseconds: a cut network reports nothing.
 * Longer than the longest blocking command (5 s).
 */
const SILENCE_MS = 8000;

/** How long one Sentinel may take to name the master, and the pause after all were asked in vain, in milliseconds. */
const SENTINEL_ANSWER_MS = 1000;
const SENTINEL_PAUSE_MS = 500;

/** 50 ms after a loss, then twice as long each time, up to 1 s. */
export const backOff = (attempt: number) => Math.min(1000, 50 * 2 ** Math.min(attempt - 1, 5));

/** Where Redis is, for this node. */
export function addressOf({ url, host, port, password }: RedisSettings): RedisAddress {
  return url === undefined ? { kind: 'server', nodes: [{ host, port }], password, tls: false, db: 0 } : parseRedisUrl(url);
}

/** What every connection has, to a server and to each node of a cluster. */
export function optionsOf({ kind, username, password, db, tls }: RedisAddress, settings: RedisSettings, purpose: ConnectionPurpose) {
  return {
    connectionName: purpose.name,
    maxRetriesPerRequest: null,
    connectTimeout: 5000,
    keepAlive: 10_000,
    socketTimeout: SILENCE_MS,
    ...(purpose.commandTimeoutMs === undefined ? {} : { commandTimeout: purpose.commandTimeoutMs }),
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls ? { tls: tlsOf(settings) } : {}),
    ...(kind === 'cluster' ? {} : { db }),
  };
}

/** How the master is found. @param failed is told of a master that has become a replica */
export function sentinelOptionsOf(
  { nodes, master, sentinel = {}, tls }: RedisAddress,
  settings: RedisSettings,
  failed: (error: Error) => void,
) {
  return {
    sentinels: [...nodes],
    name: master ?? '',
    ...(sentinel.username === undefined ? {} : { sentinelUsername: sentinel.username }),
    ...(sentinel.password === undefined ? {} : { sentinelPassword: sentinel.password }),
    ...(tls ? { enableTLSForSentinelMode: true, sentinelTLS: tlsOf(settings) } : {}),
    sentinelCommandTimeout: SENTINEL_ANSWER_MS,
    sentinelRetryStrategy: () => SENTINEL_PAUSE_MS,
    // A master that has become a replica: ask the Sentinels again, and send the command there.
    reconnectOnError: (error: Error) => {
      if (!error.message.includes('READONLY')) return false;
      failed(error);
      return 2 as const;
    },
  };
}

function tlsOf({ tls = {} }: RedisSettings): ConnectionOptions {
  return Object.fromEntries(Object.entries(tls).map(([name, file]) => [name, readFileSync(file)]));
}
