import { afterAll, beforeAll, expect, test } from 'vitest';
import { taskKeys } from '../../shared/job-scripts.ts';
import type { TestProcess } from '../support/processes.ts';
import { TestQueue } from '../support/queue.ts';
import { until } from '../support/until.ts';

let queue: TestQueue;
let consumers: TestProcess[];

beforeAll(async () => {
  queue = await TestQueue.start();
  consumers = [await queue.consumer({ WORKER_CONCURRENCY: '1' }), await queue.consumer({ WORKER_CONCURRENCY: '1' })];
});
afterAll(() => queue.stop());

const { caretaker, marker } = taskKeys('fasttask', 'noop');
const caretakerOf = (name: string | null) => consumers.find(({ pid }) => name?.endsWith(`.${pid}`));

test('one consumer looks after a task; the others ask it of Redis when its lease would end', async () => {
  const name = await until(() => queue.redis.get(caretaker), { what: 'a caretaker' });
  const names = new Set<string | null>();
  const lefts: number[] = [];
  const to = performance.now() + 7000;
  await until(
    async () => {
      names.add(await queue.redis.get(caretaker));
      lefts.push(await queue.redis.pttl(caretaker));
      return performance.now() > to;
    },
    { what: 'some seconds to pass', timeoutMs: 10_000, everyMs: 50 },
  );
  expect([...names]).toEqual([name]);
  // Renewed each second, long before it ends.
  expect(Math.min(...lefts)).toBeGreaterThan(2000);
});

test('a job whose wake-up got lost is found within seconds', async () => {
  const busy = await Promise.all([1, 2].map(() => queue.submit('wait', { seconds: 2 })));
  await Promise.all(busy.map((id) => queue.reaches(id, ['STARTED'])));
  const id = await queue.submit('noop');
  await queue.redis.del(marker);
  await queue.ends(id, 5000);
});

test('when the caretaker dies, another consumer looks after its tasks, before a lock of its jobs ends', async () => {
  const first = caretakerOf(await queue.redis.get(caretaker));
  await first?.kill9();
  const next = await until(
    async () => {
      const consumer = caretakerOf(await queue.redis.get(caretaker));
      return consumer !== undefined && consumer !== first && consumer;
    },
    { what: 'another caretaker', timeoutMs: 8000 },
  );
  expect(next.alive).toBe(true);
});
