import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PACKAGE_VERSION } from '../../shared/protocol.ts';
import type { Redis } from '../../shared/redis.ts';
import { until } from '../support/until.ts';
import { type Cluster, isServed, releaseTask, startCluster, tasksFolder } from './cluster.ts';

let cluster: Cluster;
let redis: Redis;
let tasks: string;

beforeAll(async () => {
  // What it says is meant for a master's own Redis.
  cluster = await startCluster({}, { kind: 'server' });
  redis = cluster.redis.connect();
  tasks = tasksFolder({ joined: releaseTask(1) });
});
afterAll(async () => {
  redis.disconnect();
  await cluster.stop();
});

const JOIN = { timeoutMs: 30_000 };

test('a worker that is started before its master says in one line what to look at, and joins when the master comes', async () => {
  await cluster.redis.stop();
  const worker = await cluster.worker(tasks, {}, { ready: false });
  const { reason } = await worker.waitForEvent('redis.connection_failed', JOIN);
  expect(reason).toBe(
    `nothing usable answers at 127.0.0.1:${cluster.redis.port} (ECONNREFUSED): is it running, and are MASTER_HOST and TASK_QUEUE_PORT its address as seen from here?`,
  );
  await cluster.redis.restart();
  const restartedAt = performance.now();
  await worker.waitForEvent('consumer.started', JOIN);
  expect(performance.now() - restartedAt).toBeLessThan(10_000);
  // One line in all that time, and none of the client's own.
  expect(worker.log.filter(({ level }) => level !== 'info').map(({ event }) => event)).toEqual(['redis.connection_failed']);
  await worker.stop();
});

test('a wrong password is told once, without the password, and the worker joins as soon as it is right', async () => {
  const wrong = 'not-the-masters-password';
  const worker = await cluster.worker(tasks, { TASK_QUEUE_PASSWD: wrong }, { ready: false });
  const { reason } = await worker.waitForEvent('redis.connection_failed', JOIN);
  expect(reason).toBe(
    `the master at 127.0.0.1:${cluster.redis.port} refused the password (WRONGPASS): TASK_QUEUE_PASSWD must be the master’s`,
  );
  // It has tried again: the server counts refusals in its log of access control.
  const tries = async () => Number(/"?count"?,(\d+)/.exec(String((await redis.acl('LOG', 1)) ?? ''))?.[1] ?? 0);
  await until(async () => (await tries()) >= 3, { what: 'further tries', timeoutMs: 15_000 });
  expect(worker.log.filter(({ event }) => event.startsWith('redis.'))).toHaveLength(1);
  expect(worker.output.join('\n')).not.toContain(wrong);
  await redis.config('SET', 'requirepass', wrong);
  await worker.waitForEvent('consumer.started', JOIN);
  await redis.config('SET', 'requirepass', cluster.redis.password);
  await worker.stop();
});

test('a user of Redis with too few rights is told which one is missing', async () => {
  await redis.acl('SETUSER', 'meek', 'on', '>meek-secret', '~*', '&*', '+@all', '-eval');
  const url = `redis://meek:meek-secret@127.0.0.1:${cluster.redis.port}`;
  const worker = await cluster.worker(tasks, { REDIS_URL: url }, { ready: false });
  const { reason } = await worker.waitForEvent('redis.connection_failed', JOIN);
  expect(reason).toMatch(`Redis at 127.0.0.1:${cluster.redis.port} gives this user too few rights (NOPERM`);
  expect(worker.output.join('\n')).not.toContain('meek-secret');
  await redis.acl('SETUSER', 'meek', '+eval');
  await worker.waitForEvent('consumer.started', JOIN);
  await worker.stop();
});

test('an address with no such host, and one where something else answers', async () => {
  const web = createServer((_, response) => response.end('no Redis'));
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
  const { port } = web.address() as AddressInfo;
  const [nowhere, elsewhere] = await Promise.all([
    cluster.worker(tasks, { MASTER_HOST: 'no-such-master.invalid' }, { ready: false }),
    cluster.worker(tasks, { TASK_QUEUE_PORT: String(port) }, { ready: false }),
  ]);
  const [name, protocol] = await Promise.all([
    nowhere.waitForEvent('redis.connection_failed', JOIN),
    elsewhere.waitForEvent('redis.connection_failed', JOIN),
  ]);
  expect(name['reason']).toMatch(/^nothing usable answers at no-such-master\.invalid:\d+ \((ENOTFOUND|EAI_AGAIN)\): .*MASTER_HOST/);
  expect(protocol['reason']).toMatch(`nothing usable answers at 127.0.0.1:${port} (`);
  for (const worker of [nowhere, elsewhere]) expect(await worker.stop()).toMatchObject({ code: 0 });
  web.closeAllConnections();
  await new Promise((resolve) => web.close(resolve));
});

test('a worker and an API of another protocol take no jobs and say so, until the installation speaks theirs', async () => {
  await redis.set('fasttask:protocol', 2);
  const worker = await cluster.worker(tasks, {}, { ready: false });
  const master = await cluster.master({}, { ready: false });
  const [ofWorker, ofApi] = await Promise.all([
    worker.waitForEvent('protocol.refused', JOIN),
    master.process.waitForEvent('protocol.refused', JOIN),
  ]);
  expect(ofWorker['reason']).toMatch(
    `this worker (FastTask ${PACKAGE_VERSION}) speaks protocol 1, the installation 2: it is older than the others and takes no jobs`,
  );
  expect(ofApi['reason']).toMatch(`this API (FastTask ${PACKAGE_VERSION}) speaks protocol 1, the installation 2`);
  const ready = await master.api.get('/ready');
  expect(ready).toMatchObject({ status: 503, body: { detail: expect.stringContaining('protocol 1') } });
  // Known from the tests before; a job of it is refused all the same.
  expect((await master.api.post('/create/joined', {})).status).toBe(503);
  expect(worker.log.some(({ event }) => event === 'consumer.started')).toBe(false);
  await redis.del('fasttask:protocol');
  await worker.waitForEvent('consumer.started', JOIN);
  expect(await redis.get('fasttask:protocol')).toBe('1');
  await until(async () => (await master.api.get('/ready')).status === 200, { what: 'the API to serve', timeoutMs: 15_000 });
  await isServed(master, 'joined');
  expect((await master.api.post('/run/joined', {})).body).toMatchObject({ state: 'SUCCESS' });
  await Promise.all([worker.stop(), master.process.stop()]);
});

test('a worker that is told to end while its connection is being made anew does so', async () => {
  const worker = await cluster.worker(tasks);
  await cluster.redis.stop();
  await worker.waitForEvent('redis.connection_failed');
  expect(await worker.stop(10_000)).toEqual({ code: 0, signal: null });
  await cluster.redis.restart();
});

test('what a Redis has lost is published again as soon as it is back', async () => {
  const worker = await cluster.worker(tasks);
  const master = await cluster.master();
  await isServed(master, 'joined');
  await redis.flushall();
  await until(async () => (await master.api.get('/create/joined')).status === 404, { what: 'the task to be lost' });
  await cluster.redis.restart();
  await isServed(master, 'joined', 15_000);
  expect((await master.api.post('/run/joined', {})).body).toMatchObject({ state: 'SUCCESS' });
  await Promise.all([worker.stop(), master.process.stop()]);
});
