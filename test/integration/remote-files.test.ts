import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { jobOf } from '../support/https.ts';
import { filePart, multipartBody } from '../support/multipart.ts';
import { startService } from '../support/processes.ts';
import { until } from '../support/until.ts';
import { type ApiNode, startApiNode } from './api-node.ts';
import { startWorkerNode, type WorkerNode } from './worker-node.ts';

const SIZE = 40_000_000;

let master: ApiNode;
let worker: WorkerNode;
const others: WorkerNode[] = [];

beforeAll(async () => {
  master = await startApiNode({ NODE_TYPE: 'distributed_master', WORKER_CONCURRENCY: '4', FILE_EXPIRATION_SECONDS: '3600' });
  worker = await startWorkerNode(master);
});
afterEach(async () => {
  for (const other of others.splice(0)) await other.stop();
});
afterAll(async () => {
  await worker.stop();
  await master.stop();
});

async function upload(content: string | Uint8Array): Promise<string> {
  const { body, headers } = multipartBody([filePart('in.bin', content)]);
  const answer = await master.api.post('/upload', body, { headers });
  expect(answer.status).toBe(200);
  return String(Object(answer.body).file_name);
}

const copy = async (params: object, task = 'copies_file') => jobOf(await master.api.post(`/run/${task}`, params, { timeoutMs: 60_000 }));
const output = (job: { result: unknown }) => String(Object(job.result).name);
const requests = () => worker.process.log.filter(({ event }) => event === 'file.fetched').length;

test.each([['copies_file'], ['copies_file_isolated']])(
  '%s opens an upload on another node, and its output can be downloaded at once',
  async (task) => {
    const name = await upload('to be or not to be');
    const job = await copy({ name }, task);
    expect(job, JSON.stringify(job)).toMatchObject({ state: 'SUCCESS', result: { path: join(worker.files, name) } });
    expect(await master.api.get(`/download?file_name=${output(job)}`)).toMatchObject({ status: 200, body: 'to be or not to be' });
    // The worker's own output is a copy of the master's now: another job opens it without a byte on the link.
    const before = worker.link.passed.down;
    expect(await copy({ name: output(job) }, task)).toMatchObject({ state: 'SUCCESS' });
    expect(worker.link.passed.down - before).toBeLessThan(20_000);
  },
);

test('what the master does not have is missing, what lies on the worker alone is opened there, and names are checked', async () => {
  expect(await copy({ name: 'nothing' })).toMatchObject({
    state: 'FAILURE',
    result: expect.stringContaining('NotFoundError: File not found'),
  });
  expect(await copy({ name: '../x' })).toMatchObject({ state: 'FAILURE', result: expect.stringContaining('FileNameError') });
  writeFileSync(join(worker.files, 'own.txt'), 'of the worker');
  const job = await copy({ name: 'own.txt' });
  expect((await master.api.get(`/download?file_name=${output(job)}`)).body).toBe('of the worker');
});

test('a copy is used again until the master has another file of that name', async () => {
  const file = join(master.files, 'model.txt');
  writeFileSync(file, 'first');
  const read = async () => (await master.api.get(`/download?file_name=${output(await copy({ name: 'model.txt' }))}`)).body;
  expect([await read(), await read()]).toEqual(['first', 'first']);
  writeFileSync(file, 'second, and longer');
  expect(await read()).toBe('second, and longer');
});

test('jobs that want the same file at once share one fetch', async () => {
  const content = randomBytes(SIZE);
  const name = await upload(content);
  const before = worker.link.passed.down;
  const jobs = await Promise.all([1, 2, 3, 4].map(() => copy({ name })));
  expect(jobs.map(({ state }) => state)).toEqual(['SUCCESS', 'SUCCESS', 'SUCCESS', 'SUCCESS']);
  expect(worker.link.passed.down - before).toBeLessThan(SIZE * 1.2);
  expect(requests()).toBeGreaterThan(0);
});

test('a fetch and a delivery go on where the link was cut', async () => {
  const content = randomBytes(SIZE);
  const name = await upload(content);
  const before = { ...worker.link.passed };
  const { log } = worker.process;
  const seen = log.length;
  worker.link.cutAfter(SIZE * 0.6, 'down');
  worker.link.cutAfter(SIZE * 0.6, 'up');
  const job = await copy({ name });
  expect(job, JSON.stringify(job)).toMatchObject({ state: 'SUCCESS' });
  const events = log.slice(seen).map(({ event }) => event);
  expect(events).toContain('file.fetch_retried');
  expect(events).toContain('file.delivery_retried');
  const { passed } = worker.link;
  expect(passed.down - before.down).toBeLessThan(SIZE * 1.2);
  expect(passed.up - before.up).toBeLessThan(SIZE * 1.2);
  const digest = createHash('sha256').update(content).digest('hex');
  for (const file of [join(master.files, output(job)), join(worker.files, name)])
    expect(createHash('sha256').update(readFileSync(file)).digest('hex')).toBe(digest);
  for (const { files } of [master, worker]) expect(readdirSync(join(files, 'fasttask/uploads_tmp'))).toEqual([]);
});

test('while the API is away a job waits, and ends well', async () => {
  const name = await upload('patience');
  worker.link.sever();
  const { id } = jobOf(await master.api.post('/create/copies_file', { name }));
  await worker.process.waitForEvent('file.fetch_retried', { where: ({ file }) => file === name });
  await master.reaches(id, 'STARTED');
  worker.link.heal();
  const job = await master.reaches(id, 'SUCCESS');
  expect((await master.api.get(`/download?file_name=${output(job)}`)).body).toBe('patience');
});

test('a delivery that cannot be made leaves the job STARTED, then fails it with the reason; a revoke ends the wait', async () => {
  const seconds = { headers: { 'fasttask-time-limit': '4', 'fasttask-soft-time-limit': '3' } };
  const name = await upload('undeliverable');
  await copy({ name });
  const after = worker.process.log.length;
  const { id } = jobOf(await master.api.post('/create/copies_file', { name, hold: 1 }, seconds));
  const other = jobOf(await master.api.post('/create/copies_file', { name, hold: 1 }));
  // The copy was found current: what follows is the delivery.
  await until(
    () =>
      readdirSync(worker.files).length > 0 && worker.process.log.slice(after).filter(({ event }) => event === 'file.fetched').length > 0,
    {
      what: 'the fetch',
    },
  );
  worker.link.sever();
  await worker.process.waitForEvent('file.delivery_retried', { after });
  expect(jobOf(await master.api.get(`/check/${id}`)).state).toBe('STARTED');
  await master.api.post('/revoke', { result_id: other.id });
  await master.reaches(other.id, 'REVOKED');
  const failed = await master.reaches(id, 'FAILURE');
  expect(failed.result).toMatch(/^FilesNotDelivered: the file \S+_copies_file\.txt could not be delivered to https:\/\/127\.0\.0\.1:\d+: /);
  worker.link.heal();
  expect(await copy({ name })).toMatchObject({ state: 'SUCCESS' });
});

test('bytes that do not fit their digest are refused', async () => {
  const name = await upload('as it was uploaded');
  writeFileSync(join(master.files, name), 'as it was_uploaded');
  const job = await copy({ name });
  expect(job).toMatchObject({ state: 'FAILURE', result: expect.stringContaining('FileUnavailableError: the file could not be fetched') });
  expect(job.result).toContain('SHA-256');
  expect(existsSync(join(worker.files, name))).toBe(false);
});

test('a copy that a job uses is left by the janitor, and one that nobody uses is removed when it has expired', async () => {
  const long = new Date(Date.now() - 2 * 3_600_000);
  const [used, unused] = [await upload('used'), await upload('unused')];
  await copy({ name: unused });
  const { id } = jobOf(await master.api.post('/create/copies_file', { name: used, hold: 15 }));
  await until(() => existsSync(join(worker.files, used)), { what: 'the copy' });
  for (const name of [used, unused]) utimesSync(join(worker.files, name), long, long);
  const lease = join(worker.files, 'fasttask/files_in_use', createHash('sha256').update(unused).digest('hex'));
  if (existsSync(lease)) utimesSync(lease, long, long);
  const janitor = await startService('janitor', worker.env);
  expect((await janitor.exited).code).toBe(0);
  expect([used, unused].map((name) => existsSync(join(worker.files, name)))).toEqual([true, false]);
  await master.api.post('/revoke', { result_id: id });
  await master.reaches(id, 'REVOKED');
});

test('with FILES_SHARED nothing is copied and nobody is asked', async () => {
  const other = await startWorkerNode(master, { FILES_SHARED: 'True', FILES_DIR: master.files, MASTER_API_URL: 'https://127.0.0.1:1' });
  others.push(other);
  await worker.process.stop();
  const name = await upload('shared');
  const job = await copy({ name });
  expect(job).toMatchObject({ state: 'SUCCESS', result: { path: join(master.files, name) } });
  expect((await master.api.get(`/download?file_name=${output(job)}`)).body).toBe('shared');
  expect(statSync(join(master.files, name)).nlink).toBe(1);
  await worker.stop();
  worker = await startWorkerNode(master);
});
