import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Redis } from '../../shared/redis.ts';
import { publishTask, type TaskDescriptor } from '../../shared/registry.ts';
import { expireTasks } from '../../shared/registry-expiry.ts';
import { jobOf } from '../support/https.ts';
import type { TestProcess } from '../support/processes.ts';
import { until } from '../support/until.ts';
import { anotherRelease, type Cluster, isServed, jobIs, type Master, releaseTask, startCluster, tasksFolder } from './cluster.ts';

const REGISTRY_EXPIRES = 3;

let cluster: Cluster;
let master: Master;
let redis: Redis;

beforeAll(async () => {
  cluster = await startCluster();
  redis = cluster.redis.connect();
  master = await cluster.master({ REGISTRY_EXPIRES: String(REGISTRY_EXPIRES) });
});
afterAll(async () => {
  redis.disconnect();
  await cluster.stop();
});

interface Version {
  task: string;
  served: string;
  others: { digest: string; workers: string[] }[];
}

/** What the API shows of a task's versions. */
async function conflicts(): Promise<Version[]> {
  return (Object((await master.api.get('/workers')).body) as { conflicts: Version[] }).conflicts;
}

const isKnown = async (task: string) => (await master.api.get(`/create/${task}`)).status === 405;
const published = (worker: TestProcess, task: string) => worker.waitForEvent('task.published', { where: (line) => line['task'] === task });

test('a task that the master has never seen is served within 5 s, stays while it has jobs, and is forgotten after that', async () => {
  expect((await master.api.post('/create/fleeting', {})).status).toBe(404);
  const tasks = tasksFolder({ fleeting: releaseTask(1) });
  const first = await cluster.worker(tasks, { RESULT_EXPIRES: '8' }, { ready: false });
  await published(first, 'fleeting');
  await isServed(master, 'fleeting', 5000);
  await first.waitForEvent('consumer.started');
  const done = jobOf(await master.api.post('/run/fleeting', {}));
  expect(done).toMatchObject({ state: 'SUCCESS', result: { release: 1 } });
  await first.stop();
  const goneAt = performance.now();

  const { id } = jobOf(await master.api.post('/create/fleeting', {}));
  // The result of the first job is freed although no worker is there to do it: 8 s, as the worker that is gone had promised.
  const resultKey = `fasttask:{fleeting}:${done.id}`;
  await until(async () => (await redis.exists(resultKey)) === 0, { what: 'the expired result to be freed', timeoutMs: 25_000 });
  expect(performance.now() - goneAt).toBeGreaterThan(REGISTRY_EXPIRES * 1000 + 2000);
  expect(await isKnown('fleeting')).toBe(true);
  expect(jobOf(await master.api.get(`/check/${id}`)).state).toBe('PENDING');

  const second = await cluster.worker(tasks, { RESULT_EXPIRES: '8' });
  await jobIs(master, id, 'SUCCESS');
  await second.stop();
  expect(jobOf(await master.api.get(`/check/${id}`)).state).toBe('SUCCESS');
  await until(async () => !(await isKnown('fleeting')), { what: 'the task to be retired', timeoutMs: 25_000 });
  expect((await master.api.get(`/check/${id}`)).status).toBe(404);
  await master.process.waitForEvent('task.forgotten', { where: ({ task }) => task === 'fleeting', timeoutMs: 30_000 });
  const left = await Promise.all(['tasks', 'digests', 'seen', 'kept', 'retired'].map((name) => redis.hkeys(`fasttask:{registry}:${name}`)));
  expect(left.flat().filter((field) => field.startsWith('fleeting'))).toEqual([]);
});

test('a task with a worker stays, however short REGISTRY_EXPIRES is', async () => {
  const worker = await cluster.worker(tasksFolder({ lasting: releaseTask(1) }));
  await isServed(master, 'lasting');
  const seen = async () => Number(await redis.hget('fasttask:{registry}:seen', 'lasting'));
  const publishedAt = await seen();
  // It publishes once a minute: what keeps it is that it is online.
  await until(async () => (await seen()) > publishedAt + 2 * REGISTRY_EXPIRES, { what: 'twice the time to pass', timeoutMs: 20_000 });
  expect(await isKnown('lasting')).toBe(true);
  await worker.stop();
});

const descriptor = (name: string, digest: string): TaskDescriptor => ({ name, description: digest, params: {}, result: {}, digest });
const publish = (name: string, digest: string) => publishTask(redis, 'fasttask', descriptor(name, digest), 60);
const expire = (expiresSeconds: number) => expireTasks({ redis, prefix: 'fasttask', expiresSeconds, online: new Set() });
const isStored = async (name: string) => (await redis.hexists('fasttask:{registry}:tasks', name)) === 1;
const aged = (field: string, seconds: number) => redis.hset('fasttask:{registry}:seen', field, Math.round(Date.now() / 1000) - seconds);

test('a task that is published while it is being retired is served afterwards', async () => {
  await master.process.stop();
  for (let round = 0; round < 200; round += 1) {
    await publish('raced', 'one');
    await aged('raced', 1000);
    await Promise.all(round % 2 === 0 ? [expire(500), publish('raced', 'one')] : [publish('raced', 'one'), expire(500)]);
    expect(await isStored('raced')).toBe(true);
  }
});

test('a job that comes in while its task is being retired brings it back', async () => {
  await publish('late', 'one');
  await aged('late', 1000);
  expect((await expire(500)).retired).toContain('late');
  expect(await isStored('late')).toBe(false);
  await redis.lpush('fasttask:{late}:wait', 'an id');
  // As old as a pass waits for before it decides.
  const record = await redis.hget('fasttask:{registry}:retired', 'late');
  await redis.hset('fasttask:{registry}:retired', 'late', String(record).replace(/^\d+/, '1000'));
  expect((await expire(500)).restored).toEqual(['late']);
  expect(await isStored('late')).toBe(true);
  expect((await expire(500)).retired).toEqual([]);
  await redis.del('fasttask:{late}:wait');
  await aged('late', 1000);
  expect((await expire(500)).retired).toEqual(['late']);
});

test('of versions in use the one first seen last is served; one that nobody has any more gives way, and is forgotten', async () => {
  const served = async () => await redis.hget('fasttask:{registry}:digests', 'versioned');
  await publish('versioned', 'old');
  await redis.hset('fasttask:{registry}:digests', 'versioned old', 1000);
  expect(await publish('versioned', 'new')).toEqual({ outcome: 'published' });
  expect(await publish('versioned', 'old')).toEqual({ outcome: 'outdated', served: 'new' });
  await aged('versioned new', 200);
  expect(await publish('versioned', 'old')).toEqual({ outcome: 'published' });
  // It comes back within its time: it is still the newer one.
  expect(await publish('versioned', 'new')).toEqual({ outcome: 'published' });
  await aged('versioned old', 1000);
  await expire(500);
  expect(await served()).toBe('new');
  expect(await redis.hexists('fasttask:{registry}:digests', 'versioned old')).toBe(0);
  expect(await redis.hexists('fasttask:{registry}:digests', 'versioned new')).toBe(1);
});

test('two versions at once: the newer one’s schema is served, and the conflict is shown and told once', async () => {
  await master.process.stop();
  master = await cluster.master();
  const older = await cluster.worker(tasksFolder({ mixed: releaseTask(1) }), { WORKER_TAG: 'older' });
  await isServed(master, 'mixed');
  // The clock of the registry counts seconds.
  const since = Number(await redis.hget('fasttask:{registry}:seen', 'mixed'));
  await until(async () => Number((await redis.time())[0]) > since, { what: 'the next second' });
  const newer = await cluster.worker(tasksFolder({ mixed: releaseTask(2, ', extra: z.string()') }), { WORKER_TAG: 'newer' });
  const refused = await until(
    async () => {
      const answer = await master.api.post('/create/mixed', {});
      return answer.status === 422 ? answer : undefined;
    },
    { what: 'the newer schema to be served' },
  );
  expect(refused.body).toMatchObject({ detail: [{ type: 'missing', loc: ['body', 'extra'] }] });
  const [conflict] = await until(async () => ((await conflicts()).length > 0 ? conflicts() : undefined), { what: 'the conflict' });
  expect(conflict).toMatchObject({ task: 'mixed', others: [{ workers: [expect.stringMatching(/^older@/)] }] });
  const status = await master.api.post('/status_info', { fields: ['worker_status'] });
  expect(status.body).toMatchObject({ worker_status: { online_worker_count: 2, conflicts: [conflict] } });
  const told = await master.process.waitForEvent('task.conflicted', { timeoutMs: 25_000 });
  expect(told).toMatchObject({ task: 'mixed', served: conflict?.served, digest: conflict?.others[0]?.digest });
  const late = await cluster.worker(tasksFolder({ mixed: releaseTask(1) }), { WORKER_TAG: 'late' });
  const outdated = await late.waitForEvent('task.outdated');
  expect(outdated).toMatchObject({ task: 'mixed', served: conflict?.served, digest: conflict?.others[0]?.digest });
  await late.stop();
  await older.stop();
  await until(async () => (await conflicts()).length === 0, { what: 'the conflict to be over', timeoutMs: 15_000 });
  expect(master.process.log.filter(({ event }) => event === 'task.conflicted')).toHaveLength(1);
  expect(newer.log.filter(({ event }) => event === 'task.outdated')).toEqual([]);
  await newer.stop();
});

test.each(['workers first', 'master first'])('a rolling upgrade, %s: every job of the time ends well', async (order) => {
  const release = anotherRelease('9.9.9');
  const task = order === 'workers first' ? 'upgraded_a' : 'upgraded_b';
  const oldWorker = await cluster.worker(tasksFolder({ [task]: releaseTask(1) }));
  const oldMaster = master;
  await isServed(oldMaster, task);
  const jobs: string[] = [];
  const submit = async (to: Master) => jobs.push(jobOf(await to.api.post(`/create/${task}`, { seconds: 0.3 })).id);
  for (let count = 0; count < 8; count += 1) await submit(oldMaster);

  const replaceWorker = async () => {
    const worker = await cluster.worker(tasksFolder({ [task]: releaseTask(2) }), {}, { from: release });
    for (let count = 0; count < 8; count += 1) await submit(master);
    await oldWorker.stop();
    return worker;
  };
  const replaceMaster = async () => {
    master = await cluster.master({}, { from: release });
    for (let count = 0; count < 8; count += 1) await submit(master);
    await oldMaster.process.stop();
  };
  let newWorker: TestProcess;
  if (order === 'workers first') {
    newWorker = await replaceWorker();
    await replaceMaster();
  } else {
    await replaceMaster();
    newWorker = await replaceWorker();
  }
  const ends = await Promise.all(jobs.map((id) => jobIs(master, id, 'SUCCESS', 30_000)));
  expect(ends).toHaveLength(24);
  expect(jobOf(await master.api.post(`/run/${task}`, {}))).toMatchObject({ state: 'SUCCESS', result: { release: 2 } });
  const { body } = await master.api.get('/workers');
  expect(Object(body).workers).toContainEqual(expect.objectContaining({ version: '9.9.9', tasks: [task] }));
  await newWorker.stop();
});
