import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { mostAtOnce, readDiary, TestQueue } from '../support/queue.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';

let queue: TestQueue;
let file: string;

beforeEach(async () => {
  queue = await TestQueue.start();
  file = join(tempDir('diary'), 'lines');
  writeFileSync(file, '');
});
afterEach(() => queue.stop());

const place = (key: string, max: number) => ({ key, max, countdownSeconds: 60, expireSeconds: 1800 });

async function submitted(count: number, pauseMs: number, key: string, max: number): Promise<string[]> {
  const ids: string[] = [];
  for (let index = 0; index < count; index += 1)
    ids.push(await queue.submit('noted_a', { file, pauseMs }, { concurrency: place(key, max) }));
  return ids;
}

/** Nothing of keyed concurrency is left in Redis. */
async function expectNoTraces(timeoutMs = 5000) {
  await until(async () => (await queue.keys('fasttask:{noted_a}:*')).filter((key) => /:(places|line|held|looks)/.test(key)).length === 0, {
    what: 'no place, line or held job to be left',
    timeoutMs,
  });
}

it('runs at most max_concurrency jobs of a key at once in the whole cluster, in order of submission', async () => {
  await Promise.all([queue.consumer({ WORKER_CONCURRENCY: '3' }), queue.consumer({ WORKER_CONCURRENCY: '3' })]);
  const ids = await submitted(12, 100, 'one', 2);
  await until(() => queue.ended(ids), { what: 'all jobs to end' });
  const lines = readDiary(file);
  expect(mostAtOnce(lines)).toBe(2);
  const order = lines.filter(({ event }) => event === 'start').map(({ id }) => ids.indexOf(id));
  // With two places, the start of two neighbours may be seen in either order.
  for (const [position, index] of order.entries()) expect(Math.abs(position - index)).toBeLessThanOrEqual(1);
  await expectNoTraces();
});

it('a held job shows RETRY and takes no slot', async () => {
  await queue.consumer({ WORKER_CONCURRENCY: '2' });
  const [first = '', second = ''] = await submitted(2, 1500, 'one', 1);
  await queue.reaches(first, ['STARTED']);
  await queue.reaches(second, ['RETRY']);
  expect(await queue.jobs.counts('noted_a')).toMatchObject({ held: 1, active: 1 });
  expect((await queue.result('noop')).state).toBe('SUCCESS');
  expect((await queue.check(second))?.state).toBe('RETRY');
  expect((await queue.ends(second)).state).toBe('SUCCESS');
  await expectNoTraces();
});

it('keys do not touch each other', async () => {
  await queue.consumer({ WORKER_CONCURRENCY: '4' });
  const ids = [...(await submitted(2, 400, 'one', 1)), ...(await submitted(2, 400, 'two', 1))];
  await until(() => queue.ended(ids), { what: 'all jobs to end' });
  expect(mostAtOnce(readDiary(file))).toBe(2);
  await expectNoTraces();
});

it('a revoked held job never starts, and the one behind it does', async () => {
  await queue.consumer({ WORKER_CONCURRENCY: '3' });
  const [first = '', second = '', third = ''] = await submitted(3, 600, 'one', 1);
  await queue.reaches(third, ['RETRY']);
  expect(await queue.jobs.revoke('noted_a', second)).toBe('retrying');
  expect(await queue.ends(second)).toEqual({ state: 'REVOKED', result: 'revoked' });
  expect((await queue.ends(third)).state).toBe('SUCCESS');
  expect(readDiary(file).map(({ id }) => id)).toEqual([first, first, third, third]);
  await expectNoTraces();
});

it('a running job that is revoked gives its place back', async () => {
  await queue.consumer({ WORKER_CONCURRENCY: '2' });
  const [first = '', second = ''] = await submitted(2, 1000, 'one', 1);
  await queue.reaches(second, ['RETRY']);
  await queue.jobs.revoke('noted_a', first);
  expect((await queue.ends(second)).state).toBe('SUCCESS');
  await expectNoTraces();
});

it('the place of a job whose consumer was killed is its own again, or free', async () => {
  const killed = await queue.consumer({ WORKER_CONCURRENCY: '1' });
  const [first = ''] = await submitted(1, 1500, 'one', 1);
  await queue.reaches(first, ['STARTED']);
  await killed.kill9();
  await queue.consumer({ WORKER_CONCURRENCY: '2' });
  const [second = ''] = await submitted(1, 100, 'one', 1);
  expect((await queue.ends(first, 25_000)).state).toBe('SUCCESS');
  expect((await queue.ends(second, 25_000)).state).toBe('SUCCESS');
  await expectNoTraces();
}, 60_000);

it('the place of a job that was revoked after its consumer was killed is free again', async () => {
  const killed = await queue.consumer({ WORKER_CONCURRENCY: '1' });
  const first = await queue.submit('noted_a', { file, pauseMs: 60_000 }, { concurrency: { ...place('one', 1), expireSeconds: 1 } });
  await until(() => readDiary(file).length === 1, { what: 'the first start' });
  await killed.kill9();
  expect(await queue.jobs.revoke('noted_a', first)).toBe('started');
  await queue.consumer({ WORKER_CONCURRENCY: '1' });
  await expectNoTraces(25_000);
}, 60_000);

it('a consumer that wakes up late does not give away the place that another holds by now', async () => {
  const frozen = await queue.consumer({ WORKER_CONCURRENCY: '1' });
  const [first = ''] = await submitted(1, 6000, 'one', 1);
  await until(() => readDiary(file).length === 1, { what: 'the first start' });
  frozen.signal('SIGSTOP');
  const awake = await queue.consumer({ WORKER_CONCURRENCY: '2' });
  await awake.waitForEvent('job.recovered', { timeoutMs: 20_000 });
  await until(() => readDiary(file).filter(({ event }) => event === 'start').length === 2, { what: 'the second start', timeoutMs: 20_000 });
  const [second = ''] = await submitted(1, 100, 'one', 1);
  await queue.reaches(second, ['RETRY']);
  frozen.signal('SIGCONT');
  await Promise.race([frozen.waitForEvent('job.lost'), frozen.waitForEvent('job.write_refused')]);
  expect((await queue.ends(first, 25_000)).state).toBe('SUCCESS');
  expect((await queue.ends(second)).state).toBe('SUCCESS');
  const order = readDiary(file).filter(({ id, event }) => (id === first && event === 'end') || (id === second && event === 'start'));
  // The woken consumer's task may come to its end as well; the other one's comes before the next in line.
  expect(order.at(-1)?.id).toBe(second);
  expect(order.length).toBeGreaterThan(1);
  await expectNoTraces();
}, 60_000);

it("keeps a task's own concurrency in the whole cluster", async () => {
  await Promise.all([queue.consumer({ WORKER_CONCURRENCY: '3' }), queue.consumer({ WORKER_CONCURRENCY: '3' })]);
  const ids = await queue.jobs.submitAll(
    queue.task('one_at_a_time'),
    Array.from({ length: 12 }, () => ({ params: { file, pauseMs: 100 } })),
  );
  await until(() => queue.ended(ids), { what: 'all jobs to end' });
  expect(mostAtOnce(readDiary(file))).toBe(2);
});
