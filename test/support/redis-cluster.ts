import { Redis } from 'ioredis';
import { freePort } from './ports.ts';
import { commonLines, RedisServer } from './redis-server.ts';
import { until } from './until.ts';

/** Masters of the tests' cluster; each has one replica unless nothing is to fail over. */
const MASTERS = 3;
const SLOTS = 16_384;

/** Starts three masters and three replicas, or none. Resolves when every node knows every other and the replicas follow. */
export async function startCluster(
  password: string,
  lines: readonly string[],
  nodeTimeoutMs: number,
  replicas: boolean,
): Promise<RedisServer[]> {
  const count = replicas ? 2 * MASTERS : MASTERS;
  const ports = await Promise.all(Array.from({ length: count }, async () => [await freePort(), await freePort()] as const));
  const servers = await Promise.all(
    ports.map(([port, busPort]) =>
      RedisServer.start(port, [
        ...commonLines,
        `port ${port}`,
        `requirepass ${password}`,
        `masterauth ${password}`,
        'cluster-enabled yes',
        `cluster-port ${busPort}`,
        `cluster-node-timeout ${nodeTimeoutMs}`,
        'cluster-allow-replica-migration no',
        'repl-diskless-sync-delay 0',
        'shutdown-timeout 0',
        ...lines,
      ]),
    ),
  );
  const admins = ports.map(([port]) => adminOf(port, password));
  try {
    await form(admins, ports);
  } catch (error) {
    await Promise.all(servers.map((server) => server.kill9()));
    throw error;
  } finally {
    for (const admin of admins) admin.disconnect();
  }
  return servers;
}

async function form(admins: readonly Redis[], ports: readonly (readonly [port: number, busPort: number])[]): Promise<void> {
  // Only a node that knows no other takes an epoch.
  await Promise.all(admins.map((admin, index) => admin.call('CLUSTER', 'SET-CONFIG-EPOCH', index + 1)));
  await Promise.all(
    admins.map(async (admin, index) => {
      if (index < MASTERS) {
        const [from, to] = [index, index + 1].map((third) => Math.round((third * SLOTS) / MASTERS));
        await admin.call('CLUSTER', 'ADDSLOTSRANGE', from ?? 0, (to ?? SLOTS) - 1);
      }
      for (const [port, busPort] of ports) await admin.call('CLUSTER', 'MEET', '127.0.0.1', port, busPort);
    }),
  );
  const known = async (admin: Redis) => factsOf(await admin.call('CLUSTER', 'INFO')).get('cluster_known_nodes') === String(ports.length);
  await until(async () => (await Promise.all(admins.map(known))).every(Boolean), {
    what: 'the nodes to know each other',
    timeoutMs: 20_000,
  });
  const ids = await Promise.all(admins.map((admin) => admin.call('CLUSTER', 'MYID')));
  await Promise.all(
    admins.slice(MASTERS).map((replica, index) =>
      until(() => replica.call('CLUSTER', 'REPLICATE', String(ids[index])), {
        what: 'the replica to know its master',
        timeoutMs: 20_000,
      }),
    ),
  );
  await Promise.all(
    admins.map(async (admin, index) => {
      if (index >= MASTERS) {
        const linked = async () => factsOf(await admin.info('replication')).get('master_link_status') === 'up';
        await until(linked, { what: 'the replica to follow its master', timeoutMs: 20_000 });
      }
      await untilWhole(admin);
    }),
  );
}

/** Waits until every node says that the cluster takes commands. */
export async function untilClusterIsWhole(servers: readonly RedisServer[], password: string): Promise<void> {
  const admins = servers.map(({ port }) => adminOf(port, password));
  try {
    await Promise.all(admins.map(untilWhole));
  } finally {
    for (const admin of admins) admin.disconnect();
  }
}

async function untilWhole(admin: Redis): Promise<void> {
  const whole = async () => factsOf(await admin.call('CLUSTER', 'INFO')).get('cluster_state') === 'ok';
  await until(whole, { what: 'the cluster to be whole', timeoutMs: 30_000 });
}

/** A connection to one server with every right. */
export function adminOf(port: number, password: string): Redis {
  const admin = new Redis({ host: '127.0.0.1', port, password, maxRetriesPerRequest: null, retryStrategy: () => 50 });
  admin.on('error', () => undefined);
  return admin;
}

/** The `name:value` lines of INFO and CLUSTER INFO. */
export function factsOf(info: unknown): Map<string, string> {
  const lines = String(info).split('\r\n');
  return new Map(lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]));
}
