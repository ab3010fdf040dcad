import { afterEach, describe, expect, it } from 'vitest';
import { TestQueue } from '../support/queue.ts';
import { until } from '../support/until.ts';

let queue: TestQueue | undefined;

afterEach(() => queue?.stop());

/** Adds jobs one after another until Redis is killed; gives the ids whose submission was acknowledged, and when. */
async function acknowledgedUntilKill(on: TestQueue, count: number): Promise<{ id: string; at: number }[]> {
  const acknowledged: { id: string; at: number }[] = [];
  let killed = false;
  const submit = async () => {
    while (!killed) {
      const id = await on.submit('noop').catch(() => undefined);
      if (id !== undefined && !killed) acknowledged.push({ id, at: performance.now() });
    }
  };
  const submitters = Array.from({ length: 8 }, submit);
  await until(() => acknowledged.length >= count, { what: `${count} acknowledged jobs`, everyMs: 5 });
  killed = true;
  await on.server.kill9();
  await on.server.restart();
  await Promise.all(submitters);
  return acknowledged;
}

describe('a kill -9 of Redis', () => {
  it('loses nothing acknowledged with appendfsync always', async () => {
    queue = await TestQueue.start({ args: ['appendfsync always'] });
    await (await queue.consumer()).stop();
    const acknowledged = await acknowledgedUntilKill(queue, 300);
    for (const { id } of acknowledged) expect((await queue.check(id))?.state).toBe('PENDING');
    await queue.consumer();
    const on = queue;
    await until(() => on.ended(acknowledged.map(({ id }) => id)), { what: 'all jobs to end', timeoutMs: 20_000, everyMs: 100 });
    expect(await queue.jobs.counts('noop')).toMatchObject({ failed: 0, revoked: 0 });
  });

  it('loses at most the last second with appendfsync everysec', async () => {
    queue = await TestQueue.start({ args: ['appendfsync everysec'] });
    await (await queue.consumer()).stop();
    const acknowledged = await acknowledgedUntilKill(queue, 300);
    const last = Math.max(...acknowledged.map(({ at }) => at));
    for (const { id, at } of acknowledged) {
      if ((await queue.check(id)) === undefined) expect(last - at).toBeLessThan(2000);
    }
    await queue.consumer();
    expect((await queue.result('noop')).state).toBe('SUCCESS');
  });
});

it('a Redis at maxmemory refuses new jobs whole, and takes them again when there is room', async () => {
  queue = await TestQueue.start();
  await queue.consumer();
  await queue.server.onMasters(async (server) => {
    const used = Number(/used_memory:(\d+)/.exec(await server.info('memory'))?.[1]);
    await server.config('SET', 'maxmemory', used + 200_000);
  });
  const ids: string[] = [];
  await expect(
    (async () => {
      for (;;) ids.push(await queue.submit('wait', { seconds: 0, filler: 'x'.repeat(5000) }));
    })(),
  ).rejects.toMatchObject({ code: 'redis_unavailable', status: 503 });
  await queue.server.onMasters((server) => server.config('SET', 'maxmemory', 0));
  const on = queue;
  await until(() => on.ended(ids), { what: 'the accepted jobs to end' });
  for (const id of ids) expect((await queue.check(id))?.state).toBe('SUCCESS');
});
