import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { TestProcess } from '../support/processes.ts';
import { readDiary, TestQueue } from '../support/queue.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';

let queue: TestQueue;
let consumer: TestProcess;
let file: string;

beforeAll(async () => {
  queue = await TestQueue.start();
  consumer = await queue.consumer({
    WORKER_POOL: 'gevent',
    WORKER_CONCURRENCY: '200',
    WORKER_MAX_TASKS_PER_CHILD: '100000',
    SOFT_TIME_LIMIT: '20',
    TIME_LIMIT: '30',
  });
  file = join(tempDir('diary'), 'lines');
  writeFileSync(file, '');
});
afterAll(() => queue.stop());

it('runs 200 jobs that wait 1 s in under 2 s, on few threads', async () => {
  await queue.result('wait', { seconds: 0 });
  const startedAt = performance.now();
  const ids = await queue.jobs.submitAll(
    queue.task('wait'),
    Array.from({ length: 200 }, () => ({ params: { seconds: 1 } })),
  );
  await until(() => queue.ended(ids), { what: 'all jobs to end', everyMs: 50 });
  expect(performance.now() - startedAt).toBeLessThan(2000);
  for (const id of ids) expect((await queue.check(id))?.state).toBe('SUCCESS');
});

it('ends a job that spins at its hard limit, and runs the others of its thread again without the loss of an attempt', async () => {
  const others = await queue.jobs.submitAll(
    queue.task('noted_a'),
    Array.from({ length: 20 }, () => ({ params: { file, pauseMs: 3000 } })),
  );
  await until(() => readDiary(file).length === 20, { what: 'the others to run' });
  const startedAt = performance.now();
  expect(await queue.result('spin', {}, { softTimeLimit: 0.5, timeLimit: 1 })).toEqual({
    state: 'FAILURE',
    result: 'TimeLimitExceeded(1)',
  });
  expect(performance.now() - startedAt).toBeLessThan(2000);
  await until(() => queue.ended(others), { what: 'the others to end' });
  for (const id of others) {
    expect((await queue.check(id))?.state).toBe('SUCCESS');
    expect(await queue.redis.hget(`fasttask:{noted_a}:${id}`, 'atm')).toBe('1');
  }
  expect(readDiary(file).filter(({ event }) => event === 'start').length).toBeGreaterThan(20);
  expect(consumer.alive).toBe(true);
});

it('ends only the job that exits, fails, or is revoked', async () => {
  const others = await queue.jobs.submitAll(
    queue.task('wait'),
    Array.from({ length: 10 }, () => ({ params: { seconds: 1 } })),
  );
  for (const id of others) await queue.reaches(id, ['STARTED']);
  const revoked = await queue.submit('wait', { seconds: 15 });
  const [exits, throws] = await Promise.all([queue.result('misbehave', { way: 'exit' }), queue.result('misbehave', { way: 'throw' })]);
  expect(exits.result).toMatch(/^ThreadEnded: .*exit code 3/);
  expect(throws.result).toMatch(/^OrderError/);
  await queue.reaches(revoked, ['STARTED']);
  await queue.jobs.revoke('wait', revoked);
  await consumer.waitForEvent('job.terminated', { where: ({ jobId }) => jobId === revoked });
  await until(() => queue.ended(others), { what: 'the others to end' });
  for (const id of others) expect((await queue.check(id))?.state).toBe('SUCCESS');
});

it('runs again what shared a thread that ran out of memory, the culprit alone fails', async () => {
  const others = await queue.jobs.submitAll(
    queue.task('wait'),
    Array.from({ length: 6 }, () => ({ params: { seconds: 2 } })),
  );
  for (const id of others) await queue.reaches(id, ['STARTED']);
  expect(await queue.result('hungry', { mebibytes: 4000, pauseMs: 100 })).toMatchObject({
    state: 'FAILURE',
    result: expect.stringMatching(/^OutOfMemory/),
  });
  await until(() => queue.ended(others), { what: 'the others to end' });
  for (const id of others) expect((await queue.check(id))?.state).toBe('SUCCESS');
  expect(consumer.alive).toBe(true);
});

it('tells whose late error and whose line it is', async () => {
  const talkers = await Promise.all(['a', 'b', 'c'].map((name) => queue.submit('talks', { name, lines: 5 })));
  const late = await queue.submit('late', { when: 'after' });
  for (const id of [...talkers, late]) expect((await queue.ends(id)).state).toBe('SUCCESS');
  await consumer.waitForEvent('job.late_error', { where: ({ jobId }) => jobId === late });
  for (const [index, name] of ['a', 'b', 'c'].entries()) {
    const id = talkers[index] ?? '';
    await until(async () => (await queue.log(id)).length === 7, { what: 'the lines to be kept' });
    expect((await queue.log(id)).every(({ message }) => message.startsWith(name))).toBe(true);
  }
});

it('replaces threads after WORKER_MAX_TASKS_PER_CHILD jobs without losing one', async () => {
  const recycling = await TestQueue.start();
  try {
    await recycling.consumer({ WORKER_POOL: 'gevent', WORKER_CONCURRENCY: '20', WORKER_MAX_TASKS_PER_CHILD: '25' });
    const ids = await recycling.jobs.submitAll(
      recycling.task('noted_a'),
      Array.from({ length: 1000 }, () => ({ params: { file, pauseMs: 1 } })),
    );
    await until(() => recycling.ended(ids), { what: 'all jobs to end', timeoutMs: 60_000, everyMs: 100 });
    expect(await recycling.jobs.counts('noted_a')).toMatchObject({ succeeded: 1000, failed: 0 });
    const starts = readDiary(file).filter(({ event, id }) => event === 'start' && ids.includes(id));
    expect(starts).toHaveLength(1000);
  } finally {
    await recycling.stop();
  }
});

it('replaces threads that are due together one after the other, so that jobs need not wait for the start of one', async () => {
  const aged = await TestQueue.start();
  try {
    const consumer = await aged.consumer({ WORKER_CONCURRENCY: '2' });
    const noops = await aged.jobs.submitAll(
      aged.task('noop'),
      Array.from({ length: 1000 }, () => ({ params: {} })),
    );
    await until(() => aged.ended(noops), { what: 'all jobs to end', timeoutMs: 30_000, everyMs: 100 });
    // A thread is not replaced before it is 10 s old.
    const startedAt = Date.parse(String(consumer.log.find(({ event }) => event === 'consumer.started')?.['time']));
    await until(() => Promise.resolve(Date.now() - startedAt > 10_500), { what: 'the threads to be due', timeoutMs: 15_000 });
    const threads: unknown[] = [];
    for (let count = 0; count < 6; count += 1) threads.push((await aged.result('traces')).result);
    expect(new Set(threads.map((result) => JSON.stringify(result))).size).toBeLessThanOrEqual(3);
  } finally {
    await aged.stop();
  }
});
