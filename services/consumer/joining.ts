/** A consumer's way into its installation: it waits for Redis and for its own protocol, and says what stands in the way. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Config } from '../../shared/config.ts';
import { codeOf, messageOf } from '../../shared/errors.ts';
import { createLogger, type Logger } from '../../shared/logger.ts';
import { claimProtocol, PROTOCOL, protocolRefusal } from '../../shared/protocol.ts';
import { connectRedis, disconnectRedis, type Redis } from '../../shared/redis.ts';
import { parseRedisUrl } from '../../shared/redis-address.ts';

type RedisSettings = Config['redis'];

/** How long one try may take, in milliseconds: longer than a connection may need (5 s). */
const TRY_MS = 6000;

/** Pauses between tries, in milliseconds: the first, doubled each time, up to the longest. Redis may come at any moment; a mistake stays. */
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = { comes: 2000, stays: 15_000 };

/** How often the same obstacle is told again, in milliseconds. */
const REPEAT_MS = 60_000;

/** What keeps a consumer out. */
interface Obstacle {
  event: 'redis.connection_failed' | 'protocol.refused';
  /** Whether somebody has to mend it, or it may go by itself at any moment. */
  stays: boolean;
  /** What is wrong, and what to look at. */
  reason: string;
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
  if (told.size > 0) log.info({ redis: addressOf(settings) }, 'installation.joined');
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
    return obstacleOf(error, settings);
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

/** Redis' words for a wrong user or password, and for a missing one. */
const WRONG_PASSWORD = /^(WRONGPASS|NOAUTH)\b|invalid password/;

/** Words of Node and OpenSSL for what one side of TLS does not take from the other. */
const TLS_FAULT = /certificate|self.signed|\bssl\b|\btls\b|altname/i;

/** OpenSSL's words without its numbers and the names of its source files. */
function bareTlsFault(said: string): string {
  return /^\w+:error:\w+:[^:]*:[^:]*:([^:]+)/.exec(said)?.[1] ?? said;
}

/** What is at fault, in the words of who has to mend it. */
function obstacleOf(error: unknown, settings: RedisSettings): Obstacle {
  const at = addressOf(settings);
  const byUrl = settings.url !== undefined;
  const cause = causeOf(error);
  const said = messageOf(cause);
  const failed = (reason: string, stays: boolean): Obstacle => ({ event: 'redis.connection_failed', stays, reason });
  if (WRONG_PASSWORD.test(said)) {
    const who = byUrl ? `Redis at ${at}` : `the master at ${at}`;
    const advice = byUrl ? 'the user and password in REDIS_URL must be those of that Redis' : 'TASK_QUEUE_PASSWD must be the master’s';
    return failed(`${who} refused the password (${said.split(' ')[0]}): ${advice}`, true);
  }
  if (said.startsWith('NOPERM'))
    return failed(`Redis at ${at} gives this user too few rights (${said}): deploy/README.md lists them`, true);
  if (TLS_FAULT.test(said)) {
    const advice = 'REDIS_TLS_CA must name the authority of its certificate, REDIS_TLS_CERT and REDIS_TLS_KEY one that it takes';
    return failed(`no TLS with Redis at ${at} (${bareTlsFault(said)}): ${advice}`, true);
  }
  const code = codeOf(cause);
  const variables = byUrl ? 'REDIS_URL' : 'MASTER_HOST and TASK_QUEUE_PORT';
  const seen = typeof code === 'string' && said.includes(code) ? code : said;
  return failed(
    `nothing usable answers at ${at} (${seen}): is it running, and ${byUrl ? 'is' : 'are'} ${variables} its address as seen from here?`,
    false,
  );
}

/** The fault of a node, where a cluster's client wraps it. */
function causeOf(error: unknown): unknown {
  return error instanceof Error && 'lastNodeError' in error && error.lastNodeError instanceof Error ? error.lastNodeError : error;
}

/** Hosts and ports, without a user and password. */
function addressOf({ url, ...master }: RedisSettings): string {
  const nodes = url === undefined ? [master] : parseRedisUrl(url).nodes;
  return nodes.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`).join(',');
}
