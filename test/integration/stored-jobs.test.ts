/** Jobs are stored by a script of ours: any program that knows BullMQ must find them as BullMQ itself would have stored them. */
import { type JobsOptions, Queue, Worker } from 'bullmq';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { taskKeys } from '../../shared/job-scripts.ts';
import type { TaskDescriptor } from '../../shared/registry.ts';
import { TestQueue } from '../support/queue.ts';
import { until } from '../support/until.ts';

let queue: TestQueue;
let bull: Queue;

beforeEach(async () => {
  queue = await TestQueue.start();
  bull = new Queue('{theirs}', { connection: queue.redis, prefix: 'fasttask', skipMetasUpdate: true });
});
afterEach(async () => {
  await bull.close();
  await queue.stop();
});

const ours = (wish: Partial<TaskDescriptor> = {}): TaskDescriptor => ({
  name: 'ours',
  description: '',
  digest: 'd',
  params: {},
  result: {},
  ...wish,
});

/** What lies in Redis for a task with one waiting job, beside what BullMQ counts for itself. */
async function stored(task: string, id: string) {
  const keys = taskKeys('fasttask', task);
  const { opts, timestamp, ...fields } = await queue.redis.hgetall(keys.job(id));
  expect(Math.abs(Number(timestamp) - Date.now())).toBeLessThan(60_000);
  return {
    ...fields,
    opts: JSON.parse(opts ?? ''),
    wait: await queue.redis.lrange(keys.wait, 0, -1),
    marker: await queue.redis.zrange(keys.marker, '0', '-1', 'WITHSCORES'),
  };
}

/** The same job, by BullMQ and by us. */
async function both(wish: Partial<TaskDescriptor>, options: JobsOptions) {
  const data = { params: { name: 'Zoë "Z" 王', list: [1.5, null] }, replyTo: 'here' };
  const id = queue.jobs.newId('ours');
  await bull.add('ann', data, { jobId: id, ...options });
  await queue.jobs.submit(ours(wish), data, 'ann', id);
  return { theirs: await stored('theirs', id), own: await stored('ours', id) };
}

describe('a stored job equals the one that BullMQ stores', () => {
  it.each<[string, Partial<TaskDescriptor>, JobsOptions]>([
    ['without retries', {}, {}],
    ['with retries', { retries: 2 }, { attempts: 3, backoff: { type: 'exponential', delay: 1000 } }],
    [
      'with a backoff of its own',
      { retries: 1, backoff: { type: 'fixed', delaySeconds: 0.25, jitter: 0.5 } },
      { attempts: 2, backoff: { type: 'fixed', delay: 250, jitter: 0.5 } },
    ],
  ])('%s', async (_, wish, options) => {
    const { theirs, own } = await both(wish, options);
    expect(own).toEqual(theirs);
    expect(own.marker).toEqual(['0', '0']);
  });

  it.each([
    ['is paused', { paused: 1 }],
    ['runs as many as it may', { concurrency: 1 }],
  ])('in a queue that %s, without waking anybody', async (_, meta) => {
    for (const task of ['ours', 'theirs']) {
      const keys = taskKeys('fasttask', task);
      await queue.redis.hset(keys.meta, meta);
      await queue.redis.lpush(keys.active, 'another');
    }
    const { theirs, own } = await both({}, {});
    expect(own).toEqual(theirs);
    expect(own.marker).toEqual([]);
  });
});

it('a job that is sent again stays what it is, and stands in the queue once', async () => {
  const id = await queue.jobs.submit(ours(), { params: { turn: 1 } });
  await queue.jobs.submit(ours(), { params: { turn: 2 } }, '', id);
  expect(await stored('ours', id)).toMatchObject({ data: '{"params":{"turn":1}}', wait: [id] });
});

it('jobs that are submitted together, and those of a batch, stand in the order in which they came', async () => {
  const single = await Promise.all(Array.from({ length: 250 }, (_, turn) => queue.jobs.submit(ours(), { params: { turn } })));
  const batch = await queue.jobs.submitAll(
    ours(),
    Array.from({ length: 10_000 }, (_, turn) => ({ params: { turn } })),
  );
  const { wait, job } = taskKeys('fasttask', 'ours');
  // The next to be taken stands last.
  expect(await queue.redis.lrange(wait, 0, -1)).toEqual([...single, ...batch].reverse());
  expect(await queue.redis.hget(job(batch[9999] ?? ''), 'data')).toBe('{"params":{"turn":9999}}');
});

it('long jobs go with short ones', async () => {
  const long = { text: 'é'.repeat(100_000) };
  const ids = await Promise.all([queue.jobs.submit(ours(), { params: {} }), queue.jobs.submit(ours(), { params: long })]);
  const { wait, job } = taskKeys('fasttask', 'ours');
  expect((await queue.redis.lrange(wait, 0, -1)).sort()).toEqual(ids.sort());
  const datas = await Promise.all(ids.map((id) => queue.redis.hget(job(id), 'data')));
  expect(datas.map((data) => JSON.parse(data ?? '')).filter(({ params }) => params.text === long.text)).toHaveLength(1);
});

it('jobs that are checked together are each told as what they are, however long their results', async () => {
  const ids = await queue.jobs.submitAll(ours(), [{ params: 1 }, { params: 2 }, { params: 3 }]);
  const [waiting = '', brief = '', lengthy = ''] = ids;
  const { job } = taskKeys('fasttask', 'ours');
  const long = JSON.stringify({ text: 'é'.repeat(100_000) });
  for (const [id, result] of [
    [brief, '{"area":3}'],
    [lengthy, long],
  ] as const) {
    await queue.redis.hset(job(id), { finishedOn: Date.now(), returnvalue: JSON.stringify(result) });
  }
  const asked = [waiting, brief, lengthy, queue.jobs.newId('ours'), queue.jobs.newId('theirs')];
  const views = await Promise.all(asked.map((id) => queue.check(id)));
  expect(views).toEqual([
    { state: 'PENDING', resultJson: '"None"' },
    { state: 'SUCCESS', resultJson: '{"area":3}' },
    { state: 'SUCCESS', resultJson: long },
    undefined,
    undefined,
  ]);
});

it("BullMQ's own Worker runs it, and tries it again as often as the task says", async () => {
  const task = ours({ retries: 1, backoff: { type: 'fixed', delaySeconds: 0.02 } });
  const tries: unknown[] = [];
  const work = async ({ name, data }: { name: string; data: unknown }) => {
    tries.push({ name, data });
    if (tries.length === 1) throw new Error('once');
    return 'done';
  };
  const worker = new Worker('{ours}', work, { connection: queue.redis, prefix: 'fasttask' });
  try {
    const id = await queue.jobs.submit(task, { params: { radius: 2 } }, 'ann');
    const { job } = taskKeys('fasttask', 'ours');
    await until(async () => (await queue.redis.hget(job(id), 'returnvalue')) === '"done"', { what: 'the second try to end the job' });
    expect(tries).toEqual(Array.from({ length: 2 }, () => ({ name: 'ann', data: { params: { radius: 2 } } })));
    expect(await queue.redis.hmget(job(id), 'atm', 'ats')).toEqual(['2', '2']);
  } finally {
    await worker.close();
  }
});
