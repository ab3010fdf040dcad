import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
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

it('runs 2,000 jobs exactly once each', async () => {
  await queue.consumer({ WORKER_CONCURRENCY: '4' });
  const ids = await queue.jobs.submitAll(
    queue.task('noted_a'),
    Array.from({ length: 2000 }, () => ({ params: { file, pauseMs: 0 } })),
  );
  await until(() => queue.ended(ids), { what: 'all jobs to end', timeoutMs: 60_000, everyMs: 200 });
  const starts = readDiary(file).filter(({ event }) => event === 'start');
  expect(starts).toHaveLength(2000);
  expect(new Set(starts.map(({ id }) => id))).toEqual(new Set(ids));
  expect(await queue.jobs.counts('noted_a')).toEqual({
    waiting: 0,
    active: 0,
    delayed: 0,
    held: 0,
    succeeded: 2000,
    failed: 0,
    revoked: 0,
  });
});

it('never runs more jobs than WORKER_CONCURRENCY, over five tasks, and uses every slot', async () => {
  await queue.consumer({ WORKER_CONCURRENCY: '4' });
  const tasks = ['noted_a', 'noted_b', 'noted_c', 'noted_d', 'noted_e'];
  const jobs = Array.from({ length: 30 }, () => ({ params: { file, pauseMs: 10 } }));
  const ids = (await Promise.all(tasks.map((task) => queue.jobs.submitAll(queue.task(task), jobs)))).flat();
  await until(() => queue.ended(ids), { what: 'all jobs to end', timeoutMs: 20_000, everyMs: 100 });
  expect(mostAtOnce(readDiary(file))).toBe(4);
});

it('takes lanes in turn: a few jobs of one task do not wait behind many of another', async () => {
  await queue.consumer({ WORKER_CONCURRENCY: '2' });
  const many = await queue.jobs.submitAll(
    queue.task('noted_a'),
    Array.from({ length: 300 }, () => ({ params: { file, pauseMs: 5 } })),
  );
  await until(() => readDiary(file).length > 20, { what: 'the first jobs to run' });
  const few = await queue.jobs.submitAll(
    queue.task('noted_b'),
    Array.from({ length: 5 }, () => ({ params: { file, pauseMs: 5 } })),
  );
  await until(() => queue.ended(few), { what: 'the few to end', everyMs: 5 });
  expect(await queue.ended(many)).toBe(false);
  await until(() => queue.ended(many), { what: 'the many to end' });
});

it('spreads the work over two consumers, and each job runs once', async () => {
  await Promise.all([queue.consumer({ WORKER_CONCURRENCY: '1' }), queue.consumer({ WORKER_CONCURRENCY: '1' })]);
  const ids = await queue.jobs.submitAll(
    queue.task('noted_a'),
    Array.from({ length: 40 }, () => ({ params: { file, pauseMs: 20 } })),
  );
  await until(() => queue.ended(ids), { what: 'all jobs to end' });
  const lines = readDiary(file);
  expect(lines.filter(({ event }) => event === 'start')).toHaveLength(40);
  expect(mostAtOnce(lines)).toBe(2);
});

it('takes a new job at once when it is idle', async () => {
  await queue.consumer();
  await queue.result('noop');
  const waits: number[] = [];
  for (let count = 0; count < 20; count += 1) {
    const submittedAt = Number(process.hrtime.bigint()) / 1e6;
    await queue.ends(await queue.submit('noted_a', { file }));
    waits.push((readDiary(file).findLast(({ event }) => event === 'start')?.atMs ?? Number.POSITIVE_INFINITY) - submittedAt);
  }
  // Far below the 5 s of the safety net, on a machine however slow.
  expect(Math.max(...waits)).toBeLessThan(1000);
});

it('drains on SIGTERM: a running job ends, nothing new is taken', async () => {
  const consumer = await queue.consumer({ WORKER_CONCURRENCY: '1' });
  const [running, waiting] = await queue.jobs.submitAll(queue.task('noted_a'), [
    { params: { file, pauseMs: 800 } },
    { params: { file, pauseMs: 0 } },
  ]);
  await until(() => readDiary(file).length === 1, { what: 'the first job to run' });
  expect(await consumer.stop()).toEqual({ code: 0, signal: null });
  expect((await queue.check(running ?? ''))?.state).toBe('SUCCESS');
  expect((await queue.check(waiting ?? ''))?.state).toBe('PENDING');
});

it('hands running jobs back after DRAIN_TIMEOUT, without the loss of an attempt', async () => {
  const consumer = await queue.consumer({ WORKER_CONCURRENCY: '1', DRAIN_TIMEOUT: '0.3' });
  const id = await queue.submit('noted_a', { file, pauseMs: 3000 });
  await until(() => readDiary(file).length === 1, { what: 'the job to run' });
  expect(await consumer.stop()).toEqual({ code: 0, signal: null });
  await queue.consumer();
  expect(await queue.ends(id)).toMatchObject({ state: 'SUCCESS' });
  expect(await queue.redis.hget(`fasttask:{noted_a}:${id}`, 'atm')).toBe('1');
});

it('runs a job whose consumer was killed again within 15 s', async () => {
  const first = await queue.consumer({ WORKER_CONCURRENCY: '1' });
  const id = await queue.submit('noted_a', { file, pauseMs: 1500 });
  await until(() => readDiary(file).length === 1, { what: 'the job to run' });
  const killedAt = performance.now();
  await first.kill9();
  await queue.consumer({ WORKER_CONCURRENCY: '1' });
  await until(() => readDiary(file).filter(({ event }) => event === 'start').length === 2, { what: 'the second start', timeoutMs: 20_000 });
  expect(performance.now() - killedAt).toBeLessThan(15_000);
  expect((await queue.ends(id)).state).toBe('SUCCESS');
});

it('spreads the slots of a node over its consumer processes', async () => {
  const env = { CONSUMER_PROCESSES: '2', WORKER_CONCURRENCY: '3' };
  const consumers = await Promise.all(['0', '1'].map((instance) => queue.consumer({ ...env, NODE_APP_INSTANCE: instance })));
  const slots = consumers.map(({ log }) => log.find(({ event }) => event === 'consumer.started')?.['slots']);
  expect(slots).toEqual([2, 1]);
  const ids = await queue.jobs.submitAll(
    queue.task('noted_a'),
    Array.from({ length: 12 }, () => ({ params: { file, pauseMs: 100 } })),
  );
  await until(() => queue.ended(ids), { what: 'all jobs to end' });
  expect(mostAtOnce(readDiary(file))).toBe(3);
});

it('keeps every promise of revoke when revokes race with starts and ends', async () => {
  await queue.consumer({ WORKER_CONCURRENCY: '4' });
  const ids = await queue.jobs.submitAll(
    queue.task('noted_a'),
    Array.from({ length: 400 }, () => ({ params: { file, pauseMs: 2 } })),
  );
  // From the end of the line, so that the revokes meet the dispatcher in the middle.
  const outcomes = new Map<string, string>();
  for (const id of [...ids].reverse()) outcomes.set(id, await queue.jobs.revoke('noted_a', id));
  await until(() => queue.ended(ids), { what: 'all jobs to end' });
  const started = new Set(readDiary(file).map(({ id }) => id));
  for (const id of ids) {
    const view = await queue.check(id);
    const outcome = outcomes.get(id);
    expect(['waiting', 'started', 'ended']).toContain(outcome);
    if (outcome === 'waiting') expect(started.has(id)).toBe(false);
    expect(view?.state).toBe(outcome === 'ended' ? 'SUCCESS' : 'REVOKED');
  }
  // A revoked job that was fetched is being dropped.
  const marked = () => queue.redis.scard('fasttask:{noted_a}:marked');
  await until(async () => (await marked()) + (await queue.jobs.counts('noted_a')).active === 0, { what: 'the last ones to be dropped' });
  const counts = await queue.jobs.counts('noted_a');
  expect(counts).toMatchObject({ waiting: 0, active: 0, delayed: 0, held: 0, failed: 0 });
  expect(counts.succeeded + counts.revoked).toBe(400);
});

describe('short jobs, which are given to a thread several at once', () => {
  const short = (count: number) => Array.from({ length: count }, () => ({ params: { file, pauseMs: 0 } }));

  /** Lets the consumer learn that jobs of this task are short. */
  async function learn(): Promise<void> {
    const ids = await queue.jobs.submitAll(queue.task('noted_a'), short(300));
    await until(() => queue.ended(ids), { what: 'the short jobs to end', timeoutMs: 20_000 });
  }

  it('do not wait behind a long one: they are handed back, without the loss of an attempt, and start once', async () => {
    await queue.consumer({ WORKER_CONCURRENCY: '2' });
    await learn();
    const jobs = [{ params: { file, pauseMs: 4000 } }, ...short(15)];
    const [long = '', ...others] = await queue.jobs.submitAll(queue.task('noted_a'), jobs);
    await until(() => queue.ended(others), { what: 'the short ones to end' });
    expect((await queue.check(long))?.state).toBe('STARTED');
    expect((await queue.ends(long)).state).toBe('SUCCESS');
    const starts = readDiary(file).filter(({ event }) => event === 'start');
    expect(new Set(starts.map(({ id }) => id)).size).toBe(starts.length);
    for (const id of others) expect(await queue.redis.hmget(`fasttask:{noted_a}:${id}`, 'atm', 'ats')).toEqual(['1', '1']);
  });

  it('run in the order in which they were submitted, also where they were handed back', async () => {
    await queue.consumer({ WORKER_CONCURRENCY: '1' });
    await learn();
    writeFileSync(file, '');
    const jobs = [{ params: { file, pauseMs: 400 } }, ...short(12)];
    const ids = await queue.jobs.submitAll(queue.task('noted_a'), jobs);
    await until(() => queue.ended(ids), { what: 'all jobs to end', timeoutMs: 20_000 });
    const starts = readDiary(file).filter(({ event }) => event === 'start');
    expect(starts.map(({ id }) => id)).toEqual(ids);
  });

  it('go on when what an ended one has left behind holds its thread for good, and the thread is ended', async () => {
    const consumer = await queue.consumer({ WORKER_CONCURRENCY: '2' });
    const fine = (count: number) => Array.from({ length: count }, () => ({ params: { way: 'fine' } }));
    const run = async (jobs: { params: { way: string } }[]) => {
      const ids = await queue.jobs.submitAll(queue.task('misbehave'), jobs);
      await until(() => queue.ended(ids), { what: 'all jobs to end', timeoutMs: 20_000 });
      expect(new Set(await Promise.all(ids.map(async (id) => (await queue.check(id))?.state)))).toEqual(new Set(['SUCCESS']));
    };
    await run(fine(300));
    for (let round = 0; round < 2; round += 1) {
      await run([...fine(40), { params: { way: 'spin_later' } }]);
      await run(fine(300));
    }
    for (const event of ['job.processing_failed', 'job.recovered']) expect(consumer.log.filter((line) => line.event === event)).toEqual([]);
    await until(async () => (await cpuShare(consumer.pid, 500)) < 0.3, { what: 'nothing to spin', timeoutMs: 20_000 });
  });

  it('are run elsewhere when the thread of one before them is ended', async () => {
    await queue.consumer({ WORKER_CONCURRENCY: '1', SOFT_TIME_LIMIT: '0.5', TIME_LIMIT: '1' });
    await learn();
    const jobs = [...short(3), { params: { file, pauseMs: 60_000 } }, ...short(3)];
    const ids = await queue.jobs.submitAll(queue.task('noted_a'), jobs);
    const views = await Promise.all(ids.map((id) => queue.ends(id)));
    expect(views.map(({ state }) => state)).toEqual(['SUCCESS', 'SUCCESS', 'SUCCESS', 'FAILURE', 'SUCCESS', 'SUCCESS', 'SUCCESS']);
    expect(views[3]?.result).toContain('TimeLimitExceeded(1)');
    const starts = readDiary(file).filter(({ event }) => event === 'start');
    expect(new Set(starts.map(({ id }) => id)).size).toBe(starts.length);
  });

  it('are handed back when the consumer stops', async () => {
    const consumer = await queue.consumer({ WORKER_CONCURRENCY: '1', DRAIN_TIMEOUT: '0.2' });
    await learn();
    const [long = '', ...others] = await queue.jobs.submitAll(queue.task('noted_a'), [{ params: { file, pauseMs: 60_000 } }, ...short(10)]);
    await until(async () => (await queue.check(long))?.state === 'STARTED', { what: 'the long one to start' });
    expect(await consumer.stop()).toEqual({ code: 0, signal: null });
    for (const id of [long, ...others]) expect((await queue.check(id))?.state).toBe('PENDING');
    expect(await queue.jobs.counts('noted_a')).toMatchObject({ waiting: 11, active: 0 });
  });
});

/** Part of one core that a process uses during so many milliseconds. */
async function cpuShare(pid: number, ms: number): Promise<number> {
  const usedMs = () => {
    const [, fields = ''] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ');
    const [user, system] = fields.split(' ').slice(11, 13);
    // In ticks of 10 ms.
    return (Number(user) + Number(system)) * 10;
  };
  const before = usedMs();
  await pause(ms);
  return (usedMs() - before) / ms;
}
