import { freePort } from './ports.ts';
import { adminOf, factsOf } from './redis-cluster.ts';
import { commonLines, RedisServer } from './redis-server.ts';
import { until } from './until.ts';

/** The name of the master, as the Sentinels know it. */
export const MASTER_NAME = 'tasks';

const SENTINELS = 3;

export interface SentinelGroup {
  /** The first is the master, until a failover. */
  servers: RedisServer[];
  sentinels: RedisServer[];
}

/** Starts a master, its replica and three Sentinels. Resolves when the Sentinels know each other and the replica follows. */
export async function startSentinelGroup(
  password: string,
  sentinelPassword: string,
  lines: readonly string[],
  downAfterMs: number,
): Promise<SentinelGroup> {
  const [port, replicaPort] = [await freePort(), await freePort()];
  const own = (of: number) => [
    ...commonLines,
    `port ${of}`,
    `requirepass ${password}`,
    `masterauth ${password}`,
    'repl-diskless-sync-delay 0',
    'shutdown-timeout 0',
    ...lines,
  ];
  const servers = [
    await RedisServer.start(port, own(port)),
    await RedisServer.start(replicaPort, [...own(replicaPort), `replicaof 127.0.0.1 ${port}`]),
  ];
  const linked = async () => factsOf(await replica.info('replication')).get('master_link_status') === 'up';
  const replica = adminOf(replicaPort, password);
  await until(linked, { what: 'the replica to follow its master', timeoutMs: 20_000 }).finally(() => replica.disconnect());
  const sentinels = await Promise.all(
    Array.from({ length: SENTINELS }, async () => {
      const at = await freePort();
      return RedisServer.start(
        at,
        [
          `port ${at}`,
          `requirepass ${sentinelPassword}`,
          `sentinel sentinel-pass ${sentinelPassword}`,
          `sentinel monitor ${MASTER_NAME} 127.0.0.1 ${port} 2`,
          `sentinel auth-pass ${MASTER_NAME} ${password}`,
          `sentinel down-after-milliseconds ${MASTER_NAME} ${downAfterMs}`,
          `sentinel failover-timeout ${MASTER_NAME} 10000`,
        ],
        ['--sentinel'],
      );
    }),
  );
  for (const { port: at } of sentinels) {
    const sentinel = adminOf(at, sentinelPassword);
    const known = async () =>
      new RegExp(`name=${MASTER_NAME},status=ok,.*slaves=1,sentinels=${SENTINELS}`).test(await sentinel.info('sentinel'));
    await until(known, { what: 'the Sentinels to know each other', timeoutMs: 20_000 }).finally(() => sentinel.disconnect());
  }
  return { servers, sentinels };
}
