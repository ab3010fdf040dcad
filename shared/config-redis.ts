import { resolve } from 'node:path';
import { isReadableFile } from './config-folders.ts';
import { embeddedRedisVariables } from './config-source.ts';
import type { CleanedVariables, NodeType, VariableName } from './config-variables.ts';
import { parseRedisUrl, RedisUrlError } from './redis-address.ts';

/** The password that a Redis on loopback may have, and none beyond it. */
const LOOPBACK_PASSWORD = 'passwd';

/** A password that others can try over the network should not be shorter. */
export const SHORT_PASSWORD = 12;

/** Where Redis is, for this node: an own server, a master's, or an external one (`url`). */
export interface RedisSettings {
  /** Checked; connections parse it. */
  url: string | undefined;
  /** Files for a `url` with TLS, absolute. */
  tls?: { ca?: string; cert?: string; key?: string };
  embedded: boolean;
  /** Where the embedded server listens. */
  listenHost: string;
  /** Where this node's clients connect: its own server is always reached over loopback. */
  host: string;
  port: number;
  password: string;
  prefix: string;
}

/** The settings, with the defaults that depend on the type of the node. @param root relative paths start here */
export function redisSettings(env: CleanedVariables, nodeType: NodeType, root: string): RedisSettings {
  const worker = nodeType === 'distributed_worker';
  const file = (path: string | undefined) => path && resolve(root, path);
  const [ca, cert, key] = [file(env.REDIS_TLS_CA), file(env.REDIS_TLS_CERT), file(env.REDIS_TLS_KEY)];
  return {
    url: env.REDIS_URL,
    tls: { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) },
    embedded: !worker && env.REDIS_URL === undefined,
    listenHost: env.MASTER_HOST ?? (nodeType === 'distributed_master' ? '0.0.0.0' : '127.0.0.1'),
    host: worker ? (env.MASTER_HOST ?? '127.0.0.1') : '127.0.0.1',
    port: env.TASK_QUEUE_PORT ?? 6379,
    password: env.TASK_QUEUE_PASSWD ?? LOOPBACK_PASSWORD,
    prefix: env.REDIS_PREFIX,
  };
}

interface RedisCheck {
  nodeType: NodeType;
  read: Readonly<Partial<Record<VariableName, string>>>;
  failed: ReadonlySet<VariableName>;
  fault: (variable: VariableName, expected: string) => void;
}

/**
 * Reports an address that cannot be read and files that it cannot use, what a worker lacks, and a Redis that would listen beyond loopback
 * with the password that everybody knows.
 */
export function checkRedis(redis: RedisSettings, check: RedisCheck): void {
  const { nodeType, read, failed, fault } = check;
  checkAddress(redis, check);
  if (nodeType === 'distributed_worker' && redis.url === undefined && !failed.has('REDIS_URL')) {
    for (const name of embeddedRedisVariables) {
      if (read[name] === undefined) fault(name, 'a value: a distributed_worker needs it (or REDIS_URL)');
    }
  }
  if (
    redis.embedded &&
    !failed.has('REDIS_URL') &&
    !failed.has('MASTER_HOST') &&
    !isLoopback(redis.listenHost) &&
    redis.password === LOOPBACK_PASSWORD
  ) {
    fault('TASK_QUEUE_PASSWD', `a password of its own, because Redis listens on ${redis.listenHost}, beyond loopback`);
  }
}

const tlsFiles = [
  ['ca', 'REDIS_TLS_CA'],
  ['cert', 'REDIS_TLS_CERT'],
  ['key', 'REDIS_TLS_KEY'],
] as const;

function checkAddress({ url, tls = {} }: RedisSettings, { fault }: RedisCheck): void {
  let secured: boolean | undefined = false;
  try {
    if (url !== undefined) secured = parseRedisUrl(url).tls;
  } catch (error) {
    if (!(error instanceof RedisUrlError)) throw error;
    fault('REDIS_URL', error.message);
    secured = undefined;
  }
  for (const [name, variable] of tlsFiles) {
    const file = tls[name];
    if (file === undefined) continue;
    if (secured === false) fault(variable, 'REDIS_URL with TLS (rediss://, rediss+sentinel:// or rediss+cluster://)');
    if (!isReadableFile(file)) fault(variable, 'a readable file');
  }
  if (tls.cert !== undefined && tls.key === undefined) fault('REDIS_TLS_KEY', 'a readable file, because REDIS_TLS_CERT is set');
  if (tls.key !== undefined && tls.cert === undefined) fault('REDIS_TLS_CERT', 'a readable file, because REDIS_TLS_KEY is set');
}

/** Addresses that only this machine can reach. */
export function isLoopback(address: string): boolean {
  return address === 'localhost' || address === '::1' || /^127\.\d+\.\d+\.\d+$/.test(address);
}
