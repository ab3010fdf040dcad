import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeAccounts } from '../support/accounts.ts';
import { startBalancer } from '../support/balancer.ts';
import { apiClient, jobOf } from '../support/https.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';
import { type Cluster, isServed, jobIs, type Master, releaseTask, startCluster, tasksFolder } from './cluster.ts';

/** Two masters with nothing in common but Redis, and a worker. */
let cluster: Cluster;
let a: Master;
let b: Master;

beforeAll(async () => {
  cluster = await startCluster();
  await cluster.worker(tasksFolder({ shared: releaseTask(1) }), { WORKER_CONCURRENCY: '4' });
  [a, b] = await Promise.all([cluster.master(), cluster.master()]);
  await Promise.all([isServed(a, 'shared'), isServed(b, 'shared')]);
});
afterAll(() => cluster.stop());

test('a job that one master created is checked, waited for and revoked at another', async () => {
  const quick = jobOf(await a.api.post('/create/shared', { seconds: 1 }));
  const waitedFrom = performance.now();
  const waited = await b.api.get(`/check/${quick.id}`, { headers: { prefer: 'wait=20' } });
  expect(jobOf(waited)).toMatchObject({ id: quick.id, state: 'SUCCESS', result: { release: 1 } });
  expect(performance.now() - waitedFrom).toBeLessThan(6000);

  const long = jobOf(await a.api.post('/create/shared', { seconds: 15 }));
  await jobIs(b, long.id, 'STARTED');
  const waiting = a.api.get(`/check/${long.id}`, { headers: { prefer: 'wait=20' } });
  expect((await b.api.post('/revoke', { result_id: long.id })).body).toMatchObject({ status: 'SUCCESS' });
  expect(jobOf(await waiting)).toMatchObject({ state: 'REVOKED', result: 'terminated' });
  expect(jobOf(await b.api.post('/run/shared', {})).state).toBe('SUCCESS');
});

test('the running id is one, whoever was first', async () => {
  const ids = await Promise.all([a, b].map(async ({ api }) => jobOf(await api.post('/create/shared', {})).id.split('-')[0]));
  expect(ids[0]).toBe(ids[1]);
});

test('failed sign-ins and the rate limit are counted for all masters together', async () => {
  const folders = [tempDir('master'), tempDir('master')];
  const [first, second] = await Promise.all(folders.map((FILES_DIR) => cluster.master({ FILES_DIR, API_RATE_LIMIT: '20' })));
  if (first === undefined || second === undefined) throw new Error('expected two masters');
  // Without accounts the limit is that of an address.
  const statuses: number[] = [];
  for (let count = 0; count < 24; count += 1) statuses.push((await (count % 2 === 0 ? first : second).api.get('/openapi.json')).status);
  expect(statuses.filter((status) => status === 200)).toHaveLength(20);
  expect(statuses.slice(20)).toEqual([429, 429, 429, 429]);

  const password = randomUUID();
  for (const folder of folders) writeAccounts(folder, { ann: password });
  await until(async () => (await second.api.get('/openapi.json')).status === 401, { what: 'the accounts to be read', timeoutMs: 15_000 });
  await until(async () => (await first.api.get('/openapi.json')).status === 401, { what: 'the accounts to be read', timeoutMs: 15_000 });
  for (let count = 0; count < 10; count += 1) {
    const { status } = await (count % 2 === 0 ? first : second).api.get('/openapi.json', { auth: ['ann', 'wrong'] });
    expect(status).toBe(401);
  }
  for (const { api } of [first, second]) expect((await api.get('/openapi.json', { auth: ['ann', password] })).status).toBe(429);
  await Promise.all([first.process.stop(), second.process.stop()]);
});

test('behind a load balancer the death of one API process costs the requests that were in it, and no job', async () => {
  const doomed = await cluster.master();
  await isServed(doomed, 'shared');
  const balancer = await startBalancer([a.port, doomed.port, b.port]);
  const client = apiClient(balancer.origin);
  const ids: string[] = [];
  const failures: { startedAt: number; endedAt: number }[] = [];
  let killedAt = Number.POSITIVE_INFINITY;
  let stop = false;
  const load = async () => {
    while (!stop) {
      const startedAt = performance.now();
      try {
        // A connection for each request, as a balancer would see many clients.
        const answer = await client.post('/create/shared', {}, { headers: { connection: 'close' } });
        if (answer.status !== 200) throw new Error(`expected 200, got ${answer.status}`);
        ids.push(jobOf(answer).id);
      } catch {
        failures.push({ startedAt, endedAt: performance.now() });
      }
    }
  };
  const clients = Array.from({ length: 6 }, load);
  await until(() => (balancer.given.get(doomed.port) ?? 0) >= 20, { what: 'load on every process', timeoutMs: 20_000 });
  killedAt = performance.now();
  await doomed.process.kill9();
  const before = ids.length;
  await until(() => ids.length > before + 60, { what: 'load on those that are left', timeoutMs: 20_000 });
  stop = true;
  await Promise.all(clients);
  // No more than there were clients, and all of them around the kill: later ones go to those that are left.
  expect(failures.length).toBeLessThanOrEqual(clients.length);
  for (const { startedAt, endedAt } of failures) {
    expect(startedAt).toBeLessThan(killedAt + 500);
    expect(endedAt).toBeGreaterThan(killedAt);
  }
  await Promise.all(ids.map((id) => jobIs(b, id, 'SUCCESS', 30_000)));
  await balancer.stop();
});

test('a master with another RUNNING_ID is told of, and one with none follows', async () => {
  const [one, other] = [await cluster.master({ RUNNING_ID: 'one' }), await cluster.master({ RUNNING_ID: 'other' })];
  const told = await one.process.waitForEvent('running_id.conflicted', { timeoutMs: 40_000 });
  expect(told).toMatchObject({ own: 'one', other: 'other', reason: expect.stringContaining('set the same one on all of them') });
  await until(async () => jobOf(await a.api.post('/create/shared', {})).id.startsWith('other-'), {
    what: 'a master without a RUNNING_ID to follow',
    timeoutMs: 40_000,
  });
  await Promise.all([one.process.stop(), other.process.stop()]);
});
