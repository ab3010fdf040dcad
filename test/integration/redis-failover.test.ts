/** A master that dies under load, on a Cluster and behind Sentinels: what Redis has kept is done, and every consumer goes on within 15 s. */
import { afterEach, describe, expect, it } from 'vitest';
import { mastersOf } from '../../shared/redis.ts';
import { apiClient } from '../support/https.ts';
import { freePort } from '../support/ports.ts';
import { startService, type TestProcess } from '../support/processes.ts';
import { TestQueue } from '../support/queue.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';

/** How long a master may be silent until it is replaced, in milliseconds. */
const FAILOVER_AFTER_MS = 2000;

/** Jobs of the task on the shard that is killed, and of one elsewhere. */
const KILLED = 'noop';
const OTHERS = ['wait', 'noted_a'];

const PREFIX = 'fasttask';

let queue: TestQueue | undefined;
const started: TestProcess[] = [];

afterEach(async () => {
  for (const process of started.splice(0)) await process.kill9();
  await queue?.stop();
});

/** The port of the server that holds a task's keys. */
async function portOf(of: TestQueue, task: string): Promise<number> {
  const found = await Promise.all(
    mastersOf(of.redis).map(async (master) => ((await master.keys(`${PREFIX}:{${task}}:*`)).length > 0 ? (master.options.port ?? 0) : 0)),
  );
  // Who follows the master has the same keys and is not asked.
  const port = found.find((one) => one !== 0);
  if (port === undefined) throw new Error(`expected a server with keys of ${task}, got none`);
  return port;
}

/** Submits jobs again and again. `kept` are those that a replica has acknowledged, too: no failover may lose them. */
function submitting(to: TestQueue, task: string) {
  const load = { kept: [] as string[], acknowledged: [] as { id: string; at: number }[], stopped: false };
  const done = (async () => {
    while (!load.stopped) {
      try {
        const id = await to.submit(task, { seconds: 0 });
        load.acknowledged.push({ id, at: performance.now() });
        const key = `${PREFIX}:{${task}}:${id}`;
        const copies = await Promise.all(
          mastersOf(to.redis).map(async (master) => ((await master.exists(key)) === 1 ? master.wait(1, 300) : 0)),
        );
        if (copies.some((count) => count > 0)) load.kept.push(id);
      } catch {
        // Nothing was acknowledged, or not to the end.
      }
    }
  })();
  return { load, stop: () => Object.assign(load, { stopped: true }) && done };
}

describe.each(['cluster', 'sentinel'] as const)('%s: a master that is killed under load', (kind) => {
  it('costs no job that a replica had, and every consumer takes jobs again within 15 s', async () => {
    queue = await TestQueue.start({ kind, failoverAfterMs: FAILOVER_AFTER_MS });
    const on = queue;
    const consumers = [
      await on.consumer({ ENABLED_TASKS: [KILLED, ...OTHERS].join(',') }),
      await on.consumer({ ENABLED_TASKS: [KILLED, ...OTHERS].join(',') }),
    ];
    const port = await freePort();
    const api = await startService('api', {
      ...on.env,
      NODE_TYPE: 'single_node',
      FILES_DIR: tempDir('files'),
      API_TLS: 'False',
      API_PORT: String(port),
    });
    started.push(api);
    await api.waitForEvent('api.listening', { timeoutMs: 45_000 });
    const client = apiClient(`http://127.0.0.1:${port}`);
    await until(async () => (await client.get('/ready')).status === 200, { what: 'the API to be ready' });

    const loads = [KILLED, ...OTHERS].map((task) => submitting(on, task));
    await until(() => loads.every(({ load }) => load.kept.length > 50), { what: 'jobs on a replica', timeoutMs: 20_000 });
    const running = await on.submit('wait', { seconds: 8 });
    await on.reaches(running, ['STARTED']);

    const victim = await portOf(on, KILLED);
    const marks = consumers.map(({ log }) => log.length);
    const killedAt = performance.now();
    await on.server.servers.find((server) => server.port === victim)?.kill9();
    await until(async () => (await client.post('/create/noop', {})).status === 503, { what: 'the API to answer 503', timeoutMs: 4000 });
    await Promise.all(
      consumers.map((consumer, index) => {
        // A job that was submitted after the kill ran on the shard that was killed.
        const after = marks[index] ?? 0;
        const isLater = (id: unknown) => loads[0]?.load.acknowledged.some((one) => one.id === id && one.at > killedAt) === true;
        return consumer.waitForEvent('job.completed', {
          after,
          timeoutMs: 15_000,
          where: ({ task, jobId }) => task === KILLED && isLater(jobId),
        });
      }),
    );
    const tookMs = performance.now() - killedAt;
    expect(tookMs).toBeLessThan(15_000);
    await until(async () => (await client.post('/run/noop', {})).status === 200, { what: 'the API to serve', timeoutMs: 10_000 });
    await Promise.all(loads.map(({ stop }) => stop()));

    let lost = 0;
    for (const { load } of loads) {
      await until(
        async () => {
          const views = await Promise.all(load.acknowledged.map(({ id }) => on.check(id)));
          return views.every((view) => view === undefined || view.state === 'SUCCESS');
        },
        { what: 'every job that Redis has kept to end', timeoutMs: 30_000, everyMs: 300 },
      );
      for (const id of load.kept) expect([id, (await on.check(id))?.state]).toEqual([id, 'SUCCESS']);
      const gone = await Promise.all(load.acknowledged.map(async ({ id, at }) => ((await on.check(id)) === undefined ? at : undefined)));
      // Replication is asynchronous: only what was acknowledged right before the kill may be gone.
      for (const at of gone.filter((one) => one !== undefined)) expect(killedAt - at).toBeLessThan(1000);
      lost += gone.filter((one) => one !== undefined).length;
    }
    expect((await on.ends(running, 30_000)).state).toBe('SUCCESS');
    for (const process of [...consumers, api]) expect(process.alive).toBe(true);
    const counts = loads.map(({ load }) => load.acknowledged.length);
    console.log(`${kind}: jobs again after ${Math.round(tookMs)} ms; ${counts.join(' + ')} jobs acknowledged, ${lost} lost by Redis`);
  }, 150_000);
});
