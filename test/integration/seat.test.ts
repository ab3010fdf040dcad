import { afterAll, beforeAll, expect, it } from 'vitest';
import { TestQueue } from '../support/queue.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';

let queue: TestQueue;

beforeAll(async () => {
  queue = await TestQueue.start();
});
afterAll(() => queue.stop());

it('a consumer that PM2 has started a second time ends the first one, which drains, before it takes jobs', async () => {
  const place = { FILES_DIR: tempDir('files'), NODE_APP_INSTANCE: '0', CONSUMER_PROCESSES: '2', DRAIN_TIMEOUT: '1' };
  const first = await queue.consumer(place);
  const neighbour = await queue.consumer({ ...place, NODE_APP_INSTANCE: '1' });
  await neighbour.stop();
  const running = await queue.submit('wait', { seconds: 80 });
  await queue.reaches(running, ['STARTED']);

  const second = await queue.consumer(place);
  // Its job was still running when it was told to go.
  expect(await first.waitForEvent('consumer.stopping')).toMatchObject({ running: 1 });
  expect(await first.exited).toMatchObject({ code: 0 });
  expect(await second.waitForEvent('seat.taken_over')).toMatchObject({ otherPid: first.pid });
  // Handed back by the one, it goes on in the other.
  await until(async () => (await queue.check(running))?.resultJson.includes(`.${second.pid}`), {
    what: 'the job to run again',
    timeoutMs: 15_000,
  });
  await queue.jobs.revoke('wait', running);
  expect((await queue.result('noop')).state).toBe('SUCCESS');
  await second.stop();
});

it('a place of a process that is gone is free, and consumers without PM2 hold none', async () => {
  const place = { FILES_DIR: tempDir('files') };
  const killed = await queue.consumer({ ...place, NODE_APP_INSTANCE: '0' });
  await killed.kill9();
  const next = await queue.consumer({ ...place, NODE_APP_INSTANCE: '0' });
  expect(next.output.join('\n')).not.toContain('seat.taken_over');
  const [one, two] = [await queue.consumer(place), await queue.consumer(place)];
  expect([next.alive, one.alive, two.alive]).toEqual([true, true, true]);
});
