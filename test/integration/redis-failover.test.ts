/** A master that dies under load, on a Cluster and behind Sentinels: what Redis has kept is done, and every consumer goes on within 15 s. */
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import type { JobView } from '../../shared/job-state.ts';
import { mastersOf } from '../../shared/redis.ts';
import { apiClient } from '../support/https.ts';
import { freePort } from '../support/ports.ts';
import { startService, type TestProcess } from '../support/processes.ts';
import { TestQueue } from '../support/queue.ts';
import { factsOf } from '../support/redis-cluster.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';

/** How long a master may be silent until it is replaced, in milliseconds. */
const FAILOVER_AFTER_MS = 2000;

/** The API's 2 s for a 503, and some for a busy machine, in milliseconds. */
const ANSWER_MS = 3000;

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

/** The connection to the master that holds a task's keys. */
async function masterOf(of: TestQueue, task: string) {
  for (const master of mastersOf(of.redis)) if ((await master.keys(`${PREFIX}:{${task}}:*`)).length > 0) return master;
  throw new Error(`expected a server with keys of ${task}, got none`);
}

/** Submits jobs again and again. `kept` are those that a replica has acknowledged, too: no failover may lose them. */
function submitting(to: TestQueue, task: string, file: string) {
  const load = { kept: [] as string[], acknowledged: [] as { id: string; at: number }[], stopped: false };
  const done = (async () => {
    const master = await masterOf(to, task);
    while (!load.stopped) {
      // Slowly enough for the consumers to keep up.
      await pause(20);
      try {
        const id = await to.submit(task, { seconds: 0, file });
        load.acknowledged.push({ id, at: performance.now() });
        if ((await master.wait(1, 300)) > 0) load.kept.push(id);
      } catch {
        // Nothing was acknowledged, or not to the end.
      }
    }
  })();
  return { load, stop: () => Object.assign(load, { stopped: true }) && done };
}

/** What stands in the way of "every job that Redis has kept succeeded", empty if nothing does. */
function tally(views: readonly (JobView | undefined)[]): string {
  const others = views.filter((view) => view !== undefined && view.state !== 'SUCCESS').map((view) => view?.state ?? '');
  return others.length === 0 ? '' : `${others.length} of ${views.length}: ${[...new Set(others)].join(', ')}`;
}

/** A process that dies closes its connections; one that is frozen, as a host that is lost, leaves them open. */
describe.each([
  ['cluster', 'killed'],
  ['cluster', 'frozen'],
  ['sentinel', 'killed'],
  ['sentinel', 'frozen'],
] as const)('%s: a master that is %s under load', (kind, fate) => {
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

    const file = join(tempDir('diary'), 'diary');
    const loads = [KILLED, ...OTHERS].map((task) => submitting(on, task, file));
    await until(() => loads.every(({ load }) => load.kept.length > 50), { what: 'jobs on a replica', timeoutMs: 20_000 });
    const running = await on.submit('wait', { seconds: 8 });
    await on.reaches(running, ['STARTED']);

    const victim = Number(factsOf(await (await masterOf(on, KILLED)).info('server')).get('tcp_port'));
    const marks = consumers.map(({ log }) => log.length);
    const killedAt = performance.now();
    const server = on.server.servers.find(({ port: own }) => own === victim);
    if (server === undefined) throw new Error(`expected a server on port ${victim}, got none`);
    if (fate === 'killed') await server.kill9();
    else server.pause();
    let slowestMs = 0;
    const refused = async () => {
      const askedAt = performance.now();
      const { status } = await client.post('/create/noop', {});
      slowestMs = Math.max(slowestMs, performance.now() - askedAt);
      return status === 503;
    };
    await until(refused, { what: 'the API to answer 503', timeoutMs: 4000 });
    expect(slowestMs).toBeLessThan(ANSWER_MS);
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
    await Promise.all(loads.map(({ stop }) => stop()));
    await until(async () => (await client.post('/run/noop', {})).status === 200, { what: 'the API to serve', timeoutMs: 10_000 });

    let lost = 0;
    for (const { load } of loads) {
      await until(
        async () => {
          const views = await Promise.all(load.acknowledged.map(({ id }) => on.check(id)));
          const open = tally(views);
          if (open !== '') throw new Error(open);
          return true;
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
    console.log(
      `${kind}, ${fate}: jobs again after ${Math.round(tookMs)} ms; ${counts.join(' + ')} jobs acknowledged, ${lost} lost by Redis`,
    );
  }, 150_000);
});
