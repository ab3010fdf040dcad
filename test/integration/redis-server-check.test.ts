import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { checkExternalRedis } from '../../services/supervisor/external-redis.ts';
import { loadConfig, projectDir } from '../../shared/config.ts';
import { startInfoProxy } from '../support/info-proxy.ts';
import { freePort } from '../support/ports.ts';
import { startProcess, startService, type TestProcess } from '../support/processes.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { tempDir } from '../support/temp.ts';

let redis: TestRedis | undefined;
let proxy: Awaited<ReturnType<typeof startInfoProxy>> | undefined;
const started: TestProcess[] = [];

afterEach(async () => {
  for (const process of started.splice(0)) await process.kill9();
  await proxy?.stop();
  await redis?.stop();
  redis = proxy = undefined;
});

/** Starts the Redis of a test behind a proxy that changes its INFO. @returns where the proxy is reached */
async function behindProxy(rewrite: (reply: string) => string): Promise<string> {
  redis = await startRedis({ kind: 'server' });
  proxy = await startInfoProxy(redis.port, rewrite);
  return `redis://:${redis.password}@127.0.0.1:${proxy.port}`;
}

/** Another version of the same length: the last part is filled up with `digit`. */
const withVersion = (start: string, digit: string) => (reply: string) =>
  reply.replace(
    /(redis_version:)(\d+\.\d+\.\d+)/,
    (_, name: string, real: string) => name + start + digit.repeat(real.length - start.length),
  );

async function environment(url: string): Promise<Record<string, string>> {
  const own = { FILES_DIR: tempDir('files'), TASKS_DIR: join(projectDir, 'tasks'), FILE_EXPIRATION_SECONDS: '600' };
  return {
    ...own,
    NODE_TYPE: 'single_node',
    REDIS_URL: url,
    API_TLS: 'False',
    API_PORT: String(await freePort()),
    WORKER_CONCURRENCY: '1',
  };
}

/** The ways in which something of a node is started. */
const services = {
  consumer: (env: Record<string, string>) => startService('consumer', env),
  api: (env: Record<string, string>) => startService('api', env),
  'npm start': (env: Record<string, string>) => {
    const main = pathToFileURL(join(projectDir, 'dist/services/supervisor/main.js')).href;
    const code = `const { run } = await import('${main}'); process.exitCode = await run('start', [], process.env, new AbortController().signal);`;
    return startProcess(process.execPath, ['--input-type=module', '-e', code], { name: 'npm start', env });
  },
};

/** Starts a service that must refuse. @returns the lines that say why */
async function refusalOf(service: keyof typeof services, url: string): Promise<string[]> {
  const process = await services[service](await environment(url));
  started.push(process);
  expect(await process.exited).toEqual({ code: 1, signal: null });
  for (const line of process.output) expect(line).not.toContain(redis?.password);
  return process.output.filter((line) => /too old|maxmemory-policy/.test(line));
}

describe.each(['consumer', 'api', 'npm start'] as const)('%s', (service) => {
  it('refuses a Redis that is too old, in one line', async () => {
    const lines = await refusalOf(service, await behindProxy(withVersion('6.0.', '9')));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/Redis 6\.0\.9+ at 127\.0\.0\.1:\d+ is too old: expected Redis 6\.2 or later, or Valkey/);
    expect(lines[0]).not.toMatch(/\.js:\d+/);
  });

  it('refuses a Redis that evicts, in one line with the command that mends it', async () => {
    redis = await startRedis({ kind: 'server', args: ['maxmemory-policy allkeys-lru'] });
    const lines = await refusalOf(service, redis.url);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/maxmemory-policy is allkeys-lru, expected noeviction; run `CONFIG SET maxmemory-policy noeviction`/);
  });
});

it('takes a Valkey, which tells two versions', async () => {
  const valkey = (reply: string) => withVersion('7.2.', '4')(reply).replace(/redis_git_sha1:[0-9a-f]{8}/, 'valkey_version:8.0.0001');
  const consumer = await services.consumer(await environment(await behindProxy(valkey)));
  started.push(consumer);
  await consumer.waitForEvent('consumer.started', { timeoutMs: 45_000 });
});

it('names the product when it refuses a Valkey', async () => {
  const valkey = (reply: string) => reply.replace(/redis_git_sha1:[0-9a-f]{8}/, 'valkey_version:8.0.0001');
  const url = await behindProxy((reply) => valkey(reply).replace('maxmemory_policy:noeviction', 'maxmemory_policy:volatileXX'));
  expect((await refusalOf('consumer', url))[0]).toMatch(/^Valkey 8\.0\.0001 at .* would throw jobs away: maxmemory-policy is volatileXX/);
});

it.each(['cluster', 'sentinel'] as const)('looks at every master of a %s', async (kind) => {
  redis = await startRedis({ kind });
  const [, second = redis.servers[0]] = kind === 'cluster' ? redis.servers : [];
  await redis.onMasters(async (server) => {
    if (kind === 'sentinel' || server.options.port === second?.port) await server.config('SET', 'maxmemory-policy', 'volatile-ttl');
  });
  const lines = await refusalOf('consumer', redis.url);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain(`at 127.0.0.1:${second?.port} would throw jobs away: maxmemory-policy is volatile-ttl`);
});

it('waits for a Redis that is away, and judges it then', async () => {
  redis = await startRedis({ kind: 'server', args: ['maxmemory-policy allkeys-lfu'] });
  await redis.stop();
  const env = await environment(redis.url);
  const consumer = await services.consumer(env);
  const api = await services.api(env);
  started.push(consumer, api);
  await consumer.waitForEvent('redis.connection_failed', { timeoutMs: 45_000 });
  await api.waitForEvent('redis.connection_failed', { timeoutMs: 45_000 });
  await api.waitForEvent('api.listening');
  await redis.restart();
  for (const process of [consumer, api]) {
    expect(await process.exited).toEqual({ code: 1, signal: null });
    expect(process.output.filter((line) => line.includes('expected noeviction'))).toHaveLength(1);
  }
});

describe('`npm start` goes on without Redis, and says what to mend', () => {
  /** What it says of a master's Redis at this port. */
  async function saidOf(port: number): Promise<string[]> {
    const env = {
      NODE_TYPE: 'distributed_worker',
      MASTER_HOST: '127.0.0.1',
      TASK_QUEUE_PORT: String(port),
      TASK_QUEUE_PASSWD: 'hush-hush',
    };
    const said: string[] = [];
    const answers = await checkExternalRedis({
      config: loadConfig(env),
      say: (line) => said.push(line),
      signal: new AbortController().signal,
    });
    expect(answers).toBe(false);
    return said;
  }

  it('where nothing answers', async () => {
    expect(await saidOf(await freePort())).toEqual([
      expect.stringMatching(/go on trying: .*ECONNREFUSED.*MASTER_HOST and TASK_QUEUE_PORT/),
    ]);
  });

  it('where the password is another one, without the password', async () => {
    redis = await startRedis({ kind: 'server' });
    const said = await saidOf(redis.port);
    expect(said).toEqual([
      expect.stringMatching(/go on trying: .*refused the password \(WRONGPASS\): TASK_QUEUE_PASSWD must be the master’s$/),
    ]);
    expect(said.join()).not.toContain('hush-hush');
  });
});
