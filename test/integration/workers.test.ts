import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import type { Redis } from '../../shared/redis.ts';
import { publishTask } from '../../shared/registry.ts';
import { hashOf, writeAccounts } from '../support/accounts.ts';
import { jobOf } from '../support/https.ts';
import { until } from '../support/until.ts';
import { type Cluster, isServed, jobIs, type Master, releaseTask, startCluster, tasksFolder } from './cluster.ts';

const count = z.int().nonnegative();
const load = z.strictObject({
  totals: z.strictObject({ workers: count, slots: count, busySlots: count, waiting: count, oldestAgeSeconds: count }),
  tasks: z.record(
    z.string(),
    z.strictObject({ waiting: count, delayed: count, held: count, active: count, oldestAgeSeconds: count, workers: count }),
  ),
  workers: z.array(
    z.strictObject({
      name: z.string(),
      tag: z.string(),
      host: z.string(),
      version: z.string(),
      slots: count,
      busy: count,
      draining: z.boolean(),
      tasks: z.array(z.string()),
      uptimeSeconds: count,
      lastSeen: z.iso.datetime(),
    }),
  ),
  conflicts: z.array(z.unknown()),
});

let cluster: Cluster;
let master: Master;
let redis: Redis;

beforeAll(async () => {
  cluster = await startCluster();
  redis = cluster.redis.connect();
  master = await cluster.master();
});
afterAll(async () => {
  redis.disconnect();
  await cluster.stop();
});

const workers = async (auth?: [string, string]) => load.parse((await master.api.get('/workers', auth === undefined ? {} : { auth })).body);
const create = async (seconds: number) => jobOf(await master.api.post('/create/loaded', { seconds })).id;
const publish = (name: string) =>
  publishTask(redis, 'fasttask', { name, description: name, params: {}, result: {}, digest: name }, 60).then(() => isServed(master, name));

test('it tells who works, how much of it, and how much waits; a worker that drains counts no more and leaves no job behind', async () => {
  const tasks = tasksFolder({ loaded: releaseTask(1) });
  const first = await cluster.worker(tasks, { WORKER_TAG: 'first', DRAIN_TIMEOUT: '4' });
  await isServed(master, 'loaded');
  const ids = [await create(60), await create(2), await create(0), await create(0), await create(0)];
  const [long = '', short = '', ...rest] = ids;
  const busy = await until(
    async () => {
      const now = await workers();
      return now.totals.busySlots === 2 ? now : undefined;
    },
    { what: 'both slots to be busy' },
  );
  expect(busy).toMatchObject({
    totals: { workers: 1, slots: 2, busySlots: 2, waiting: 3 },
    tasks: { loaded: { waiting: 3, active: 2, delayed: 0, held: 0, workers: 1 } },
    workers: [{ name: expect.stringMatching(/^first@/), tag: 'first', slots: 2, busy: 2, draining: false, tasks: ['loaded'] }],
    conflicts: [],
  });
  await until(async () => (await workers()).totals.oldestAgeSeconds >= 1, { what: 'the oldest to have waited for a second' });

  first.signal('SIGTERM');
  const draining = await until(
    async () => {
      const now = await workers();
      return now.workers[0]?.draining ? now : undefined;
    },
    { what: 'the worker to be draining', timeoutMs: 4000 },
  );
  expect(draining).toMatchObject({ totals: { workers: 0, slots: 0, busySlots: 0, waiting: 3 }, tasks: { loaded: { workers: 0 } } });
  expect(await first.exited).toEqual({ code: 0, signal: null });
  expect((await workers()).workers).toEqual([]);
  // The short one was given its time, the long one went back, and the rest was never taken.
  expect(jobOf(await master.api.get(`/check/${short}`)).state).toBe('SUCCESS');
  for (const id of [long, ...rest]) expect(jobOf(await master.api.get(`/check/${id}`)).state).toBe('PENDING');
  expect((await workers()).tasks['loaded']).toMatchObject({ waiting: 4, active: 0, workers: 0 });

  const second = await cluster.worker(tasks, { WORKER_TAG: 'second' });
  for (const id of rest) await jobIs(master, id, 'SUCCESS');
  expect((await master.api.post('/revoke', { result_id: long })).body).toMatchObject({ status: 'SUCCESS' });
  await until(async () => (await workers()).totals.busySlots === 0, { what: 'the slots to be free' });
  expect((await workers()).totals).toMatchObject({ workers: 1, slots: 2, waiting: 0, oldestAgeSeconds: 0 });
  await second.stop();
});

test('the oldest age passes over revoked jobs, and counts from the last run of one that is tried again', async () => {
  await publish('aged');
  const submit = async () => jobOf(await master.api.post('/create/aged', {})).id;
  const since = (id: string, field: string, secondsAgo: number) =>
    redis.hset(`fasttask:{aged}:${id}`, field, Date.now() - secondsAgo * 1000);
  for (let number = 0; number < 25; number += 1) {
    const id = await submit();
    await since(id, 'timestamp', 5000);
    await master.api.post('/revoke', { result_id: id });
  }
  const again = await submit();
  await since(again, 'timestamp', 4000);
  await since(again, 'processedOn', 300);
  const first = await submit();
  await since(first, 'timestamp', 200);
  expect((await workers()).tasks['aged']).toMatchObject({ waiting: 2 });
  const { oldestAgeSeconds } = (await workers()).tasks['aged'] ?? { oldestAgeSeconds: 0 };
  expect(oldestAgeSeconds).toBeGreaterThanOrEqual(300);
  expect(oldestAgeSeconds).toBeLessThan(330);
  await redis.del('fasttask:{aged}:wait', 'fasttask:{aged}:marked');
});

test('a million waiting jobs cost it nothing', async () => {
  await publish('crowd');
  // From the start: a client sends it again when its connection was made anew before the answer.
  const fill = `redis.call('DEL', KEYS[1]) for number = 1, 1000000 do redis.call('LPUSH', KEYS[1], 'fasttask-crowd-' .. number) end`;
  await redis.eval(fill, 1, 'fasttask:{crowd}:wait');
  await redis.hset('fasttask:{crowd}:fasttask-crowd-1', 'timestamp', Date.now() - 70_000);
  await cluster.redis.onMasters((server) => server.config('RESETSTAT'));
  const { crowd } = (await workers()).tasks;
  expect(crowd?.waiting).toBe(1_000_000);
  expect(crowd?.oldestAgeSeconds).toBeGreaterThanOrEqual(70);
  const stats = (await cluster.redis.onMasters((server) => server.info('commandstats'))).join('\n');
  // Redis' own count of what it took: reading a list of a million takes it 100,000 µs and more.
  const spent = [...stats.matchAll(/cmdstat_lrange:.*?usec=(\d+)/g)].map(([, usec]) => Number(usec));
  expect(spent.length).toBeGreaterThan(0);
  expect(Math.max(...spent)).toBeLessThan(5000);
  await redis.del('fasttask:{crowd}:wait');
});

test('it needs an account where there are accounts, shows a caller its own tasks, and goes with API_STATUS_INFO', async () => {
  await publish('mine');
  await publish('theirs');
  const without = await cluster.master({ API_STATUS_INFO: 'False' });
  expect((await without.api.get('/workers')).status).toBe(404);
  await without.process.stop();
  writeAccounts(master.files, { root: 'secret', ann: { secret: hashOf('a secret of ann'), role: 'viewer', tasks: ['mine'] } });
  await until(async () => (await master.api.get('/workers')).status === 401, { what: 'the accounts to be read', timeoutMs: 15_000 });
  expect(Object.keys((await workers(['root', 'secret'])).tasks)).toEqual(expect.arrayContaining(['mine', 'theirs']));
  expect(Object.keys((await workers(['ann', 'a secret of ann'])).tasks)).toEqual(['mine']);
});
