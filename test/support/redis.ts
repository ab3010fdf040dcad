import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { loadConfig } from '../../shared/config.ts';
import type { RedisSettings } from '../../shared/config-redis.ts';
import { createLogger } from '../../shared/logger.ts';
import { type Redis as Connection, connectRedis, mastersOf } from '../../shared/redis.ts';
import { freePort } from './ports.ts';
import { startCluster, untilClusterIsWhole } from './redis-cluster.ts';
import { MASTER_NAME, startSentinelGroup } from './redis-sentinel.ts';
import { commonLines, RedisServer } from './redis-server.ts';
import { startTlsRedis } from './redis-tls.ts';

export { redisProgram } from './redis-server.ts';

const engines = ['server', 'cluster', 'sentinel', 'rediss'] as const;

/** What kind of Redis the tests run on: TEST_REDIS, one server when it is not set. */
const engine = engineOf(process.env['TEST_REDIS'] || 'server');

function engineOf(name: string) {
  const found = engines.find((one) => one === name);
  if (found === undefined) throw new Error(`TEST_REDIS: expected one of ${engines.join(', ')}, got ${name}`);
  return found;
}

/** The Redis of one test file, on loopback, with data that survives `kill9` and `restart`. What is done is done to all of its servers. */
export interface TestRedis {
  readonly url: string;
  /** The variables by which a node finds it. */
  readonly env: Readonly<Record<string, string>>;
  /** With every right, as `url` has. */
  readonly settings: RedisSettings;
  readonly password: string;
  /** Without Sentinels. */
  readonly servers: readonly RedisServer[];
  /** Port and process of the first server. */
  readonly port: number;
  readonly pid: number;
  stop(): Promise<void>;
  kill9(): Promise<void>;
  /** Stops it from answering, with its connections open (SIGSTOP). */
  pause(): void;
  resume(): void;
  /** Starts it again on the same port with the same data; ends it first if it runs. */
  restart(): Promise<void>;
  /** A connection for the test, as the product makes it. Who asks for it ends it. */
  connect(): Connection;
  /** Does something to every server that takes writes. */
  onMasters<T>(work: (server: Redis) => Promise<T>): Promise<T[]>;
  /** The same on replicas of a cluster, too. */
  onNodes<T>(work: (server: Redis) => Promise<T>): Promise<T[]>;
}

export interface RedisWish {
  /** Lines of redis.conf, such as `maxmemory 10mb`. */
  args?: readonly string[];
  /** Another kind than that of TEST_REDIS. */
  kind?: (typeof engines)[number];
  /** How long a server of a cluster or behind Sentinels may be silent until it is replaced, in milliseconds: in most tests never. */
  failoverAfterMs?: number;
  /** `cluster` only: whether each master has a replica. */
  replicas?: boolean;
  /** `rediss` only: nodes sign in as this user, for which `args` has a rule. */
  user?: { name: string; password: string };
}

/** Starts a Redis on free ports in folders of its own. */
export async function startRedis(wish: RedisWish = {}): Promise<TestRedis> {
  const { args = [], kind = engine, failoverAfterMs = 60_000, replicas = true, user } = wish;
  const password = randomBytes(9).toString('hex');
  switch (kind) {
    case 'server': {
      const port = await freePort();
      const server = await RedisServer.start(port, [...commonLines, `port ${port}`, `requirepass ${password}`, ...args]);
      const env = { MASTER_HOST: '127.0.0.1', TASK_QUEUE_PORT: String(port), TASK_QUEUE_PASSWD: password };
      return testRedis([server], [], password, env, `redis://:${password}@127.0.0.1:${port}`);
    }
    case 'rediss': {
      const { server, files } = await startTlsRedis([`requirepass ${password}`, ...args]);
      const urlOf = (userinfo: string) => `rediss://${userinfo}@127.0.0.1:${server.port}`;
      const url = urlOf(`:${password}`);
      const tls = { REDIS_TLS_CA: files.server.cert, REDIS_TLS_CERT: files.client.cert, REDIS_TLS_KEY: files.client.key };
      const redis = testRedis([server], [], password, { ...tls, REDIS_URL: url }, url);
      if (user === undefined) return redis;
      return { ...redis, env: { ...tls, REDIS_URL: urlOf(`${user.name}:${encodeURIComponent(user.password)}`) } };
    }
    case 'cluster': {
      const servers = await startCluster(password, args, failoverAfterMs, replicas);
      const url = `redis+cluster://:${password}@${hostsOf(servers)}`;
      return testRedis(servers, [], password, { REDIS_URL: url }, url, () => untilClusterIsWhole(servers, password));
    }
    case 'sentinel': {
      const sentinelPassword = randomBytes(9).toString('hex');
      const { servers, sentinels } = await startSentinelGroup(password, sentinelPassword, args, failoverAfterMs);
      const url = `redis+sentinel://:${password}@${hostsOf(sentinels)}/${MASTER_NAME}?sentinelPassword=${sentinelPassword}`;
      return testRedis(servers, sentinels, password, { REDIS_URL: url }, url);
    }
  }
}

function hostsOf(servers: readonly RedisServer[]): string {
  return servers.map(({ port }) => `127.0.0.1:${port}`).join(',');
}

function testRedis(
  servers: readonly RedisServer[],
  sentinels: readonly RedisServer[],
  password: string,
  env: Readonly<Record<string, string>>,
  url: string,
  whole: () => Promise<void> = async () => {},
): TestRedis {
  const [first] = servers;
  if (first === undefined) throw new Error('expected at least one server, got none');
  const { redis: settings } = loadConfig({ NODE_TYPE: 'single_node', ...env });
  const connect = () => connectRedis(settings, { name: 'test' }, createLogger('silent', { service: 'test' }));
  const each = (work: (server: RedisServer) => Promise<void>, of = servers) => Promise.all(of.map(work)).then(() => {});
  return {
    url,
    env,
    settings,
    password,
    servers,
    port: first.port,
    get pid() {
      return first.pid;
    },
    // Several servers would wait for each other to end, and what they hold is not needed any more.
    stop: () => each((server) => (servers.length > 1 ? server.kill9() : server.stop()), [...servers, ...sentinels]),
    kill9: () => each((server) => server.kill9()),
    pause: () => {
      for (const server of servers) server.pause();
    },
    resume: () => {
      for (const server of servers) server.resume();
    },
    async restart() {
      await each((server) => server.restart());
      await whole();
    },
    connect,
    async onMasters(work) {
      const redis = connect();
      try {
        await redis.ping();
        return await Promise.all(mastersOf(redis).map(work));
      } finally {
        redis.disconnect();
      }
    },
    async onNodes(work) {
      if (servers.length === 1) return await this.onMasters(work);
      const nodes = servers.map(({ port }) => new Redis(port, '127.0.0.1', { password }));
      try {
        return await Promise.all(nodes.map(work));
      } finally {
        for (const node of nodes) node.disconnect();
      }
    },
  };
}
