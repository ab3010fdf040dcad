import { embeddedRedisVariables } from './config-source.ts';
import type { CleanedVariables, NodeType, VariableName } from './config-variables.ts';

/** The password that a Redis on loopback may have, and none beyond it. */
const LOOPBACK_PASSWORD = 'passwd';

/** A password that others can try over the network should not be shorter. */
export const SHORT_PASSWORD = 12;

/** Where Redis is, for this node: an own server, a master's, or an external one (`url`). */
export function redisSettings(env: CleanedVariables, nodeType: NodeType) {
  const worker = nodeType === 'distributed_worker';
  return {
    url: env.REDIS_URL,
    embedded: !worker && env.REDIS_URL === undefined,
    /** Where the embedded server listens. */
    listenHost: env.MASTER_HOST ?? (nodeType === 'distributed_master' ? '0.0.0.0' : '127.0.0.1'),
    /** Where this node's clients connect: its own server is always reached over loopback. */
    host: worker ? (env.MASTER_HOST ?? '127.0.0.1') : '127.0.0.1',
    port: env.TASK_QUEUE_PORT ?? 6379,
    password: env.TASK_QUEUE_PASSWD ?? LOOPBACK_PASSWORD,
    prefix: env.REDIS_PREFIX,
  };
}

export type RedisSettings = ReturnType<typeof redisSettings>;

/** Reports what a worker lacks, and a Redis that would listen beyond loopback with the password that everybody knows. */
export function checkRedis(
  redis: RedisSettings,
  {
    nodeType,
    read,
    failed,
    fault,
  }: {
    nodeType: NodeType;
    read: Readonly<Partial<Record<VariableName, string>>>;
    failed: ReadonlySet<VariableName>;
    fault: (variable: VariableName, expected: string) => void;
  },
): void {
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

/** Addresses that only this machine can reach. */
export function isLoopback(address: string): boolean {
  return address === 'localhost' || address === '::1' || /^127\.\d+\.\d+\.\d+$/.test(address);
}
