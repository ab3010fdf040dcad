/** Connections to Redis: how a process reaches it, notices that it is gone, and waits no longer than it may. */
import { Cluster, Redis as Server } from 'ioredis';
import type { RedisSettings } from './config-redis.ts';
import { messageOf, RedisUnavailableError } from './errors.ts';
import type { Logger } from './logger.ts';
import type { RedisAddress } from './redis-address.ts';
import { addressOf, backOff, type ConnectionPurpose, optionsOf, sentinelOptionsOf } from './redis-options.ts';

/** A connection for commands: to one server, or to all shards of a cluster. */
export type Redis = Server | Cluster;

/** A connection for what lasts, channels and blocking commands: to one server, also of a cluster. */
export type RedisListener = Server;

/** How long an API call waits for a connection that is being made again, in milliseconds. */
const READY_WAIT_MS = 1000;

/** How long an API call waits for the answer to one command, in milliseconds: with READY_WAIT_MS under the 2 s of a 503. */
export const API_COMMAND_TIMEOUT_MS = 900;

/** How often an idle connection is asked for a sign of life, in milliseconds. */
const PING_MS = 2000;

/** Pause before a command goes to the new place of its slot, or is tried again while there is none, in milliseconds. */
const CLUSTER_PAUSE_MS = 50;

/** What ioredis says of a command whose connection was lost. */
const CONNECTION_LOST = 'Connection is closed.';

/** Makes a connection for commands. It reconnects for ever. */
export function connectRedis(settings: RedisSettings, purpose: ConnectionPurpose, log: Logger): Redis {
  const address = addressOf(settings);
  if (address.kind !== 'cluster') return connectServer(address, settings, purpose, log);
  const cluster = new PatientCluster([...address.nodes], {
    clusterRetryStrategy: backOff,
    retryDelayOnFailover: CLUSTER_PAUSE_MS,
    retryDelayOnClusterDown: CLUSTER_PAUSE_MS,
    retryDelayOnMoved: CLUSTER_PAUSE_MS,
    // Nodes are known by what CLUSTER SLOTS says of them, be it a name or an address.
    dnsLookup: (host, callback) => callback(null, host),
    redisOptions: optionsOf(address, settings, purpose),
  });
  const report = reporterOf(purpose, log);
  cluster.on('error', (error: Error & { lastNodeError?: Error }) => report.failed(error.lastNodeError ?? error));
  cluster.on('node error', report.failed);
  cluster.on('+node', (node: Server) => node.once('ready', report.restored));
  return cluster;
}

/**
 * Makes a connection for what lasts. It reconnects for ever; on a cluster to one node after the other, starting with any: messages reach
 * all of them, and of a key `followMove` finds the right one.
 */
export function connectListener(settings: RedisSettings, purpose: ConnectionPurpose, log: Logger): RedisListener {
  const address = addressOf(settings);
  const listener = connectServer(address, settings, purpose, log);
  keepAsking(listener);
  return listener;
}

function connectServer(address: RedisAddress, settings: RedisSettings, purpose: ConnectionPurpose, log: Logger): Server {
  const report = reporterOf(purpose, log);
  const { nodes } = address;
  let turn = address.kind === 'cluster' ? Math.floor(Math.random() * nodes.length) : 0;
  // Where it is now may be any node, because it follows moves: only another one can know more than one that is lost.
  const nextNode = (now?: Pick<Server['options'], 'host' | 'port'>) => {
    for (let step = 0; step < nodes.length; step += 1) {
      const node = nodes[turn++ % nodes.length];
      if (node !== undefined && (node.host !== now?.host || node.port !== now.port)) return node;
    }
    return nodes[0];
  };
  const server: Server = new Server({
    ...optionsOf(address, settings, purpose),
    ...(address.kind === 'sentinel' ? sentinelOptionsOf(address, settings, report.failed) : nextNode()),
    retryStrategy: (attempt) => {
      // The node that followMove named comes first.
      if (address.kind === 'cluster' && !following.delete(server)) Object.assign(server.options, nextNode(server.options));
      return backOff(attempt);
    },
  });
  server.on('error', report.failed);
  server.on('ready', report.restored);
  return server;
}

/** A cluster's client that keeps a command until a shard takes it: ioredis gives up after 16 tries, and at once when no node is left. */
class PatientCluster extends Cluster {
  #closed = false;

  override disconnect(reconnect = false): void {
    this.#closed ||= !reconnect;
    super.disconnect(reconnect);
  }

  override handleError(error: Error, _tries: { value?: number }, handlers: { connectionClosed: () => void }): void {
    if (error.message === CONNECTION_LOST && this.status !== 'ready' && !this.#closed) handlers.connectionClosed();
    else super.handleError(error, {}, handlers);
  }
}

/** Whether keys lie on several shards, so that one command may only name those of one slot. */
export function isCluster(redis: Redis): redis is Cluster {
  return redis instanceof Cluster;
}

/** The servers behind a connection that take writes. */
export function mastersOf(redis: Redis): Server[] {
  return isCluster(redis) ? redis.nodes('master') : [redis];
}

/** Connections that are on their way to the node that a MOVED named. */
const following = new WeakSet<RedisListener>();

/** Goes to the node that a cluster's MOVED names. @returns whether the error was one */
export function followMove(listener: RedisListener, error: unknown): boolean {
  const [, host, port] = /^MOVED \d+ (.*):(\d+)$/.exec(messageOf(error)) ?? [];
  if (port === undefined) return false;
  // Without a name it is another port of the same machine.
  Object.assign(listener.options, { port: Number(port), ...(host ? { host } : {}) });
  following.add(listener);
  listener.disconnect(true);
  return true;
}

interface Reporter {
  failed: (error: Error) => void;
  restored: () => void;
}

/** One line for each new reason: a reconnecting client repeats the same one every second. */
function reporterOf({ name }: ConnectionPurpose, log: Logger): Reporter {
  let reported = '';
  return {
    failed: ({ message }) => {
      if (message === reported) return;
      reported = message;
      log.warn({ connection: name, reason: message }, 'redis.connection_failed');
    },
    restored: () => {
      if (reported !== '') log.info({ connection: name }, 'redis.connection_restored');
      reported = '';
    },
  };
}

/**
 * Sends a ping now and then, so that silence is noticed on a connection that only listens, or waits for its next command. Behind a blocking
 * command it is answered with that.
 */
function keepAsking(listener: RedisListener): void {
  const timer = setInterval(() => {
    if (listener.status === 'ready') listener.ping().catch(() => {});
  }, PING_MS).unref();
  listener.once('end', () => clearInterval(timer));
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
  /^(OOM|LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|MOVED|ASK|BUSY|MISCONF|NOREPLICAS|NOAUTH|WRONGPASS|UNKILLABLE|UNBLOCKED)\b|Command timed out|Connection is closed|Stream isn't writeable|max retries per request|Command aborted due to connection close|Failed to refresh slots cache|None of startup nodes|ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENOTFOUND/;

/** Whether Redis is gone, full or busy, so that the same work may go through later. */
export function isUnavailable(error: unknown): boolean {
  return UNAVAILABLE.test(messageOf(error));
}

/** Ends a connection for good, at once. Safe to call twice. */
export function disconnectRedis(redis: Redis): void {
  redis.disconnect();
}
