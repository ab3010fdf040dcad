/** Jobs are taken, ended and handed back by scripts of ours: what they leave must be what BullMQ's own would leave. */
import { Queue, Worker } from 'bullmq';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type End, exchangeJobs } from '../../services/consumer/exchange-jobs.ts';
import { taskKeys } from '../../shared/job-scripts.ts';
import { TestQueue } from '../support/queue.ts';
import { until } from '../support/until.ts';

let queue: TestQueue;
let bull: { theirs: Queue; ours: Queue };
let worker: Worker;

beforeEach(async () => {
  queue = await TestQueue.start();
  const options = { connection: queue.redis, prefix: 'fasttask', skipMetasUpdate: true };
  bull = { theirs: new Queue('{theirs}', options), ours: new Queue('{ours}', options) };
  worker = new Worker('{theirs}', null, { connection: queue.redis, prefix: 'fasttask', autorun: false, name: 'stamp' });
});
afterEach(async () => {
  await worker.close();
  await Promise.all(Object.values(bull).map((each) => each.close()));
  await queue.stop();
});

const exchange = (ends: readonly End[], wanted: number, token = 'token') =>
  exchangeJobs(queue.redis, 'fasttask', 'ours', ends, { wanted, token, lockMs: 8000, stamp: 'stamp' });

/** What lies in Redis for a task with one job; of times only that they are there. */
async function stored(task: string, id: string) {
  const { job, wait, active, delayed, completed, stalled } = taskKeys('fasttask', task);
  const { redis } = queue;
  const fields = Object.entries(await redis.hgetall(job(id)));
  return {
    fields: Object.fromEntries(fields.map(([name, value]) => [name, /^(timestamp|.*On)$/.test(name) ? Number(value) > 1e12 : value])),
    lists: await Promise.all([wait, active].map((key) => redis.lrange(key, 0, -1))),
    sets: await Promise.all([delayed, completed].map((key) => redis.zrange(key, '0', '-1'))),
    stalled: await redis.smembers(stalled),
    lock: await redis.get(`${job(id)}:lock`),
  };
}

const add = (id: string, options: { delay?: number } = {}) =>
  Promise.all(Object.values(bull).map((each) => each.add('ann', { params: {} }, { jobId: id, ...options })));

it('a job that is taken, and then ended, is stored as by BullMQ', async () => {
  await add('one');
  const theirs = await worker.getNextJob('token', { block: false });
  const { taken, due } = await exchange([], 3);
  expect(taken.map(({ id }) => id)).toEqual(['one']);
  expect(due).toBeUndefined();
  expect(await stored('ours', 'one')).toEqual(await stored('theirs', 'one'));

  await theirs?.moveToCompleted('{"area":3}', 'token', false);
  expect(await exchange([{ id: 'one', token: 'token', json: '{"area":3}', replyTo: undefined }], 0)).toMatchObject({ owned: [true] });
  const ended = await stored('ours', 'one');
  expect(ended).toEqual(await stored('theirs', 'one'));
  expect(ended).toMatchObject({ fields: { returnvalue: '"{\\"area\\":3}"', atm: '1', ats: '1' }, lock: null });
});

it('the end of a job that is not the caller’s any more changes nothing', async () => {
  await add('one');
  await exchange([], 1);
  const before = await stored('ours', 'one');
  const ends = ['another', 'token'].map((token, at) => ({ id: at === 0 ? 'one' : 'none', token, json: 'null', replyTo: undefined }));
  expect((await exchange(ends, 0)).owned).toEqual([false, false]);
  expect(await stored('ours', 'one')).toEqual(before);
});

it('a job that is due is taken, and of one that is not it is told when', async () => {
  await add('soon', { delay: 1 });
  await add('later', { delay: 60_000 });
  const { delayed } = taskKeys('fasttask', 'ours');
  const [, score] = await queue.redis.zrange(delayed, '1', '1', 'WITHSCORES');
  const exchanged = await until(
    async () => {
      const now = await exchange([], 2);
      return now.taken.length > 0 ? now : undefined;
    },
    { what: 'the job to be due' },
  );
  expect(exchanged.taken.map(({ id }) => id)).toEqual(['soon']);
  expect(exchanged.due).toBe(Math.ceil(Number(score) / 4096));
});

describe('no more is taken than', () => {
  const four = ['a', 'b', 'c', 'd'];

  it('is wanted, in the order of submission, and what is left wakes the next consumer', async () => {
    for (const id of four) await add(id);
    await queue.redis.del(taskKeys('fasttask', 'ours').marker);
    expect((await exchange([], 3)).taken.map(({ id }) => id)).toEqual(['a', 'b', 'c']);
    expect(await queue.redis.zrange(taskKeys('fasttask', 'ours').marker, '0', '-1')).toEqual(['0']);
  });

  it('may run of the task at once, and nobody is woken for more', async () => {
    for (const id of four) await add(id);
    const { meta, marker } = taskKeys('fasttask', 'ours');
    await queue.redis.hset(meta, 'concurrency', 2);
    await queue.redis.del(marker);
    expect((await exchange([], 4)).taken).toHaveLength(2);
    expect((await exchange([], 4)).taken).toHaveLength(0);
    expect(await queue.redis.exists(marker)).toBe(0);
    const end = { id: 'a', token: 'token', json: 'null', replyTo: undefined };
    expect((await exchange([end], 4)).taken.map(({ id }) => id)).toEqual(['c']);
  });

  it('a paused queue gives, which is nothing', async () => {
    await add('a');
    await bull.ours.pause();
    expect((await exchange([], 4)).taken).toEqual([]);
  });
});

it('a job whose hash is gone is passed over', async () => {
  await add('gone');
  await add('there');
  await queue.redis.del(taskKeys('fasttask', 'ours').job('gone'));
  expect((await exchange([], 1)).taken.map(({ id }) => id)).toEqual(['there']);
  expect(await queue.redis.lrange(taskKeys('fasttask', 'ours').active, 0, -1)).toEqual(['there']);
});
