import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { isCluster, mastersOf } from '../../shared/redis.ts';
import { jobOf } from '../support/https.ts';
import { mostAtOnce, readDiary, TestQueue } from '../support/queue.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';
import { type ApiNode, startApiNode } from './api-node.ts';

const TASKS = ['noted_a', 'noted_b', 'noted_c', 'noted_d', 'noted_e', 'noop', 'wait'];

let queue: TestQueue;
let file: string;

beforeAll(async () => {
  const beganAt = performance.now();
  queue = await TestQueue.start({ kind: 'cluster' });
  console.log(`a cluster of 3 masters and 3 replicas took ${Math.round(performance.now() - beganAt)} ms to start`);
  file = join(tempDir('diary'), 'diary');
  await queue.consumer({ ENABLED_TASKS: TASKS.join(',') });
});
afterAll(() => queue.stop());

it('spreads tasks over the shards, and runs jobs of all of them', async () => {
  expect(isCluster(queue.redis)).toBe(true);
  const held = await Promise.all(mastersOf(queue.redis).map(async (master) => (await master.keys('fasttask:{noted_?}:meta')).length));
  expect(held).toHaveLength(3);
  expect(held.filter((count) => count > 0).length).toBeGreaterThan(1);
  const ids = await Promise.all(TASKS.flatMap((name) => [1, 2, 3].map(() => queue.submit(name, { file, seconds: 0 }))));
  await until(() => queue.ended(ids), { what: 'all jobs to end', timeoutMs: 15_000 });
  for (const id of ids) expect((await queue.check(id))?.state).toBe('SUCCESS');
  for (const name of TASKS) expect(await queue.jobs.counts(name)).toMatchObject({ waiting: 0, active: 0, succeeded: 3 });
});

it('wakes an idle consumer for a job of any shard at once', async () => {
  for (const name of TASKS) {
    const beganAt = performance.now();
    expect((await queue.result(name, { file, seconds: 0 })).state).toBe('SUCCESS');
    // Long before the 5 s after which a consumer looks by itself.
    expect([name, performance.now() - beganAt < 2500]).toEqual([name, true]);
  }
});

it('tells whose jobs they are when they lie on several shards', async () => {
  const ids = await Promise.all(
    TASKS.map((name, index) => queue.jobs.submit(queue.task(name), { params: { file, seconds: 0 } }, index % 2 ? 'ann' : 'bob')),
  );
  expect(await queue.jobs.ownedBy('ann', ids)).toEqual(new Set(ids.filter((_, index) => index % 2)));
  await until(() => queue.ended(ids), { what: 'all jobs to end' });
});

it('obeys a revoke of a running job and of a waiting one', async () => {
  const running = [await queue.submit('wait', { seconds: 30 }), await queue.submit('wait', { seconds: 30 })];
  for (const id of running) await queue.reaches(id, ['STARTED']);
  const waiting = await queue.submit('noted_b', { file });
  expect(await queue.jobs.revoke('noted_b', waiting)).toBe('waiting');
  for (const id of running) expect(await queue.jobs.revoke('wait', id)).toBe('started');
  for (const id of running) expect(await queue.ends(id)).toEqual({ state: 'REVOKED', result: 'terminated' });
  expect(await queue.ends(waiting)).toEqual({ state: 'REVOKED', result: 'revoked' });
  await until(async () => (await queue.jobs.counts('noted_b')).active === 0, { what: 'the waiting one to be dropped' });
});

it('keeps to keyed concurrency', async () => {
  const diary = join(tempDir('diary'), 'diary');
  const concurrency = { key: 'k', max: 1, countdownSeconds: 60, expireSeconds: 60 };
  const ids = await queue.jobs.submitAll(
    queue.task('noted_c'),
    Array.from({ length: 6 }, () => ({ params: { file: diary, pauseMs: 50 }, concurrency })),
  );
  await until(() => queue.ended(ids), { what: 'all jobs to end', timeoutMs: 15_000 });
  expect(mostAtOnce(readDiary(diary))).toBe(1);
});

it('serves the API: run, check, status and revoke', async () => {
  const node: ApiNode = await startApiNode({}, { kind: 'cluster' });
  try {
    await node.startConsumer();
    const area = await node.api.post('/run/get_circle_area', { radius: 1 });
    expect(area).toMatchObject({ status: 200, body: { state: 'SUCCESS' } });
    const created = jobOf(await node.api.post('/create/wait', { seconds: 30 }));
    await node.reaches(created.id, 'STARTED');
    const waiting = node.api.get(`/check/${created.id}`, { headers: { prefer: 'wait=20' } });
    expect((await node.api.post('/revoke', { result_id: created.id })).body).toMatchObject({ status: 'SUCCESS' });
    expect(jobOf(await waiting)).toMatchObject({ state: 'REVOKED', result: 'terminated' });
    const status = await node.api.post('/status_info', { fields: ['worker_status', 'task_info', 'pending_task_count'] });
    expect(status).toMatchObject({ status: 200, body: { worker_status: { online_worker_count: 1 } } });
  } finally {
    await node.stop();
  }
});
