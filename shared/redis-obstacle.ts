/** What stands between a node and its Redis, told to who has to mend it. */
import type { RedisSettings } from './config-redis.ts';
import { codeOf, messageOf } from './errors.ts';
import { parseRedisUrl } from './redis-address.ts';

/** Why there is no connection. */
export interface RedisObstacle {
  /** Whether somebody has to mend it, or it may go by itself at any moment. */
  stays: boolean;
  /** What is wrong, and what to look at. */
  reason: string;
}

/** Redis' words for a wrong user or password, and for a missing one. */
const WRONG_PASSWORD = /^(WRONGPASS|NOAUTH)\b|invalid password/;

/** Words of Node and OpenSSL for what one side of TLS does not take from the other. */
const TLS_FAULT = /certificate|self.signed|\bssl\b|\btls\b|altname/i;

/** OpenSSL's words without its numbers and the names of its source files. */
function bareTlsFault(said: string): string {
  return /^\w+:error:\w+:[^:]*:[^:]*:([^:]+)/.exec(said)?.[1] ?? said;
}

/** What is at fault, in the words of who has to mend it. @param error of a connection, or of its first command */
export function redisObstacle(error: unknown, settings: RedisSettings): RedisObstacle {
  const at = redisPlace(settings);
  const byUrl = settings.url !== undefined;
  const cause = causeOf(error);
  const said = messageOf(cause);
  const failed = (reason: string, stays: boolean): RedisObstacle => ({ stays, reason });
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
export function redisPlace({ url, ...master }: RedisSettings): string {
  const nodes = url === undefined ? [master] : parseRedisUrl(url).nodes;
  return nodes.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`).join(',');
}
