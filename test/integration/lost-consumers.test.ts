import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { readDiary, TestQueue } from '../support/queue.ts';
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

const starts = () => readDiary(file).filter(({ event }) => event === 'start').length;

it('runs the job of a killed consumer again within 15 s, in a process of its own', async () => {
  const [first, second] = [await queue.consumer({ WORKER_CONCURRENCY: '1' }), await queue.consumer({ WORKER_CONCURRENCY: '1' })];
  const id = await queue.submit('kills_consumer', { file, times: 1 });
  await Promise.race([first.exited, second.exited]);
  const killedAt = performance.now();
  await until(() => starts() === 2, { what: 'the second start', timeoutMs: 20_000 });
  expect(performance.now() - killedAt).toBeLessThan(15_000);
  expect(await queue.ends(id)).toEqual({ state: 'SUCCESS', result: { starts: 2 } });
  expect([first.alive, second.alive].filter(Boolean)).toHaveLength(1);
});

it('convicts a job that kills again, and no neighbour', async () => {
  const [first, second] = [await queue.consumer({ WORKER_CONCURRENCY: '2' }), await queue.consumer({ WORKER_CONCURRENCY: '2' })];
  const neighbours = await Promise.all(Array.from({ length: 3 }, () => queue.submit('wait', { seconds: 3 })));
  for (const id of neighbours) await queue.reaches(id, ['STARTED']);
  const killer = await queue.submit('kills_consumer', { file, times: 9 });
  const { state, result } = await queue.ends(killer, 25_000);
  expect(state).toBe('FAILURE');
  expect(result).toMatch(/^ConsumerLost\(2\)/);
  expect(starts()).toBe(2);
  await until(() => queue.ended(neighbours), { what: 'the neighbours to end', timeoutMs: 25_000 });
  for (const id of neighbours) expect((await queue.check(id))?.state).toBe('SUCCESS');
  expect([first.alive, second.alive].filter(Boolean)).toHaveLength(1);
});

it('quarantines a job that lost two consumers, whoever killed them', async () => {
  const id = await (async () => {
    const first = await queue.consumer({ WORKER_CONCURRENCY: '1' });
    const submitted = await queue.submit('noted_a', { file, pauseMs: 20_000 });
    await until(() => starts() === 1, { what: 'the first start' });
    await first.kill9();
    return submitted;
  })();
  const second = await queue.consumer({ WORKER_CONCURRENCY: '1' });
  await until(() => starts() === 2, { what: 'the second start', timeoutMs: 20_000 });
  await second.kill9();
  await queue.consumer({ WORKER_CONCURRENCY: '1' });
  expect(await queue.ends(id, 25_000)).toMatchObject({ state: 'FAILURE', result: expect.stringMatching(/^ConsumerLost\(2\)/) });
  expect(starts()).toBe(2);
}, 60_000);

it('refuses the late answer of a consumer that was frozen: the result is written once', async () => {
  const frozen = await queue.consumer({ WORKER_CONCURRENCY: '1' });
  const id = await queue.submit('noted_a', { file, pauseMs: 1000 });
  await until(() => starts() === 1, { what: 'the first start' });
  frozen.signal('SIGSTOP');
  await queue.consumer({ WORKER_CONCURRENCY: '1' });
  expect(await queue.ends(id, 25_000)).toMatchObject({ state: 'SUCCESS' });
  const finishedOn = await queue.redis.hget(`fasttask:{noted_a}:${id}`, 'finishedOn');
  frozen.signal('SIGCONT');
  await Promise.race([frozen.waitForEvent('job.write_refused'), frozen.waitForEvent('job.lost')]);
  expect(await queue.redis.hget(`fasttask:{noted_a}:${id}`, 'finishedOn')).toBe(finishedOn);
  expect((await queue.result('noop')).state).toBe('SUCCESS');
}, 60_000);

it('obeys a revoke that came while no consumer was online, across a restart of Redis', async () => {
  const first = await queue.consumer();
  await first.stop();
  const id = await queue.submit('noted_a', { file });
  expect(await queue.jobs.revoke('noted_a', id)).toBe('waiting');
  expect(await queue.jobs.revoke('noted_a', id)).toBe('repeated');
  await queue.server.restart();
  const second = await queue.consumer();
  await second.waitForEvent('job.revoked', { where: ({ jobId }) => jobId === id });
  expect(await queue.ends(id)).toEqual({ state: 'REVOKED', result: 'revoked' });
  expect(starts()).toBe(0);
});

it('takes jobs again within 10 s after Redis was away, frozen, or cut the connections', async () => {
  const consumer = await queue.consumer();
  const takesJobs = async () => {
    // A caller of the API would get 503 meanwhile, and come again.
    const id = await until(() => queue.submit('noop'), { what: 'a job to be taken', timeoutMs: 10_000 });
    expect((await queue.ends(id, 10_000)).state).toBe('SUCCESS');
  };
  await takesJobs();
  await queue.server.restart();
  await takesJobs();
  queue.server.pause();
  await new Promise((resolve) => setTimeout(resolve, 12_000));
  queue.server.resume();
  await takesJobs();
  await queue.server.onMasters(async (server) => {
    for (const type of ['normal', 'pubsub']) await server.call('CLIENT', 'KILL', 'TYPE', type, 'SKIPME', 'yes');
    await server.script('FLUSH');
  });
  await takesJobs();
  expect(consumer.alive).toBe(true);
}, 60_000);
