import { execFileSync } from 'node:child_process';
import { readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { taskKeys } from '../../shared/job-scripts.ts';
import { jobOf } from '../support/https.ts';
import { startLink } from '../support/link.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';
import { startTwoHosts, type TwoHosts } from './two-hosts.ts';

let hosts: TwoHosts;

beforeAll(async () => {
  hosts = await startTwoHosts({ worker: { LOG_LEVEL: 'debug' } });
});
afterAll(() => hosts.stop());

const copied = async (params: object, task = 'copies_file') => jobOf(await hosts.master.api.post(`/run/${task}`, params));
const outputOf = (job: { result: unknown }) => String(Object(job.result).name);
const content = async (name: string) => (await hosts.master.api.get(`/download?file_name=${name}`)).body;
const parts = (files: string) => readdirSync(join(files, 'fasttask/uploads_tmp'));

test('a copy is used again until the master has another file of that name', async () => {
  const file = join(hosts.master.files, 'model.txt');
  const read = async () => await content(outputOf(await copied({ name: 'model.txt' })));
  writeFileSync(file, 'first');
  expect([await read(), await read()]).toEqual(['first', 'first']);
  writeFileSync(file, 'second, and longer');
  expect(await read()).toBe('second, and longer');
});

test('what a worker has delivered it need not fetch', async () => {
  const { name } = await hosts.upload(2_000_000);
  const job = await copied({ name });
  const before = hosts.link.bytes.back;
  expect(await copied({ name: outputOf(job) }, 'copies_file_isolated')).toMatchObject({ state: 'SUCCESS' });
  expect(hosts.link.bytes.back - before).toBeLessThan(100_000);
});

test('a file that lies on the worker alone is opened there', async () => {
  writeFileSync(join(hosts.workerFiles, 'own.txt'), 'of the worker');
  const job = await copied({ name: 'own.txt' });
  expect(await content(outputOf(job))).toBe('of the worker');
});

test('a transfer that was cut leaves no part of it behind, and says in the log that it went on', async () => {
  const size = 10_000_000;
  const { name, sha256 } = await hosts.upload(size);
  const { log } = hosts.worker;
  const [seen, passed] = [log.length, hosts.link.bytes.there + hosts.link.bytes.back];
  hosts.link.cutAt(passed + 0.5 * size, passed + 1.6 * size);
  const job = await copied({ name });
  expect((await hosts.download(outputOf(job))).sha256).toBe(sha256);
  const events = log.slice(seen).map(({ event }) => event);
  expect(events).toEqual(expect.arrayContaining(['file.fetch_retried', 'file.delivery_retried', 'file.delivered']));
  expect([parts(hosts.workerFiles), parts(hosts.master.files)]).toEqual([[], []]);
});

test('a revoke ends a delivery that goes on and on, and a slot is free again', async () => {
  const { name } = await hosts.upload(1000);
  await copied({ name });
  const after = hosts.worker.log.length;
  const { id } = jobOf(await hosts.master.api.post('/create/copies_file', { name, hold: 1 }));
  await hosts.worker.waitForEvent('file.fetched', { after });
  hosts.link.down();
  try {
    await hosts.worker.waitForEvent('file.delivery_retried', { after });
    expect(jobOf(await hosts.master.api.get(`/check/${id}`)).state).toBe('STARTED');
    await hosts.master.api.post('/revoke', { result_id: id });
    await hosts.worker.waitForEvent('job.terminated', { after, where: ({ jobId }) => jobId === id });
  } finally {
    hosts.link.up();
  }
  expect((await copied({ name })).state).toBe('SUCCESS');
});

test('many jobs that ask at once share a few connections', async () => {
  const { master, worker } = hosts;
  const link = await startLink(master.port);
  const redis = master.redis.connect();
  worker.signal('SIGSTOP');
  try {
    const ids: string[] = [];
    for (let count = 0; count < 24; count += 1) {
      const { name } = await hosts.upload(1000);
      ids.push(jobOf(await master.api.post('/create/copies_file', { name })).id);
    }
    // Nobody is let in before all have asked.
    master.process.signal('SIGSTOP');
    const own = { FILES_DIR: tempDir('worker'), WORKER_TAG: 'many', WORKER_POOL: 'gevent', WORKER_CONCURRENCY: '24' };
    const many = await hosts.anotherWorker({ ...own, MASTER_API_URL: `https://127.0.0.1:${link.port}` });
    const { active } = taskKeys(master.redis.settings.prefix, 'copies_file');
    await until(async () => (await redis.llen(active)) === ids.length && link.peak >= 8, { what: 'all jobs to have begun' });
    master.process.signal('SIGCONT');
    for (const id of ids) expect((await master.reaches(id, 'SUCCESS', 'FAILURE')).state).toBe('SUCCESS');
    expect(link.peak).toBe(8);
    await many.kill9();
  } finally {
    for (const stopped of [master.process, worker]) stopped.signal('SIGCONT');
    redis.disconnect();
    await link.stop();
  }
});

test('a fault of the worker’s disk is told without the paths of its machine', async () => {
  const { name } = await hosts.upload(1000);
  const [own, uploads, aside] = [join(hosts.workerFiles, 'fasttask'), 'uploads_tmp', 'uploads_aside'];
  renameSync(join(own, uploads), join(own, aside));
  writeFileSync(join(own, uploads), 'no folder');
  try {
    for (const task of ['copies_file', 'copies_file_isolated']) {
      const { state, result } = await copied({ name }, task);
      expect(state).toBe('FAILURE');
      expect(result).toMatch(/^FileUnavailableError: the file could not be fetched from .*: ENOTDIR: .* 'fasttask\/uploads_tmp\//);
      expect(result).not.toContain(hosts.workerFiles);
    }
  } finally {
    rmSync(join(own, uploads));
    renameSync(join(own, aside), join(own, uploads));
  }
  expect((await copied({ name })).state).toBe('SUCCESS');
});

test('a file whose name is too long for its record here fails the job at once, and leaves nothing', async () => {
  const name = 'n'.repeat(252);
  writeFileSync(join(hosts.master.files, name), 'of the master');
  const { state, result } = await copied({ name });
  expect([state, result]).toEqual(['FAILURE', expect.stringContaining('ENAMETOOLONG')]);
  expect(parts(hosts.workerFiles)).toEqual([]);
});

test.each(['copies_file', 'copies_file_isolated'])('what %s cannot make is told without the paths of its machine', async (task) => {
  const [leases, aside] = [join(hosts.workerFiles, 'fasttask/files_in_use'), join(hosts.workerFiles, 'fasttask/aside')];
  writeFileSync(join(hosts.workerFiles, 'here.txt'), 'of the worker');
  renameSync(leases, aside);
  writeFileSync(leases, 'no folder');
  try {
    const { state, result } = await copied({ name: 'here.txt' }, task);
    expect([state, result]).toEqual(['FAILURE', expect.stringContaining("'fasttask/files_in_use'")]);
    expect(result).not.toContain(hosts.workerFiles);
  } finally {
    rmSync(leases);
    renameSync(aside, leases);
  }
});

test.skipIf(process.getuid?.() !== 0)(
  'a master whose disk is full fails the job with these words (needs root, for a small file system)',
  async () => {
    const files = tempDir('small');
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', files]);
    try {
      const master = await hosts.master.anotherApi({ FILES_DIR: files, API_TLS: 'False' });
      const own = tempDir('worker');
      writeFileSync(join(own, 'large'), Buffer.alloc(16_000_000));
      hosts.worker.signal('SIGSTOP');
      const worker = await hosts.anotherWorker({ FILES_DIR: own, WORKER_TAG: 'full', MASTER_API_URL: `http://127.0.0.1:${master.port}` });
      const job = await copied({ name: 'large' });
      expect(job).toMatchObject({
        state: 'FAILURE',
        result: expect.stringMatching(/^FilesNotDelivered: .*answered 507: There is no room left/),
      });
      expect(parts(files)).toEqual([]);
      await Promise.all([worker.kill9(), master.process.kill9()]);
    } finally {
      hosts.worker.signal('SIGCONT');
      execFileSync('umount', [files]);
    }
  },
);

describe('without the worker that is as it should be', () => {
  let name: string;

  beforeAll(async () => {
    ({ name } = await hosts.upload(1000));
    await hosts.worker.kill9();
  });

  /** A worker that reaches Redis by this address. */
  const workerAt = (url: string, tag: string, more: Record<string, string> = {}) =>
    hosts.anotherWorker({
      MASTER_HOST: '',
      TASK_QUEUE_PORT: '',
      TASK_QUEUE_PASSWD: '',
      REDIS_URL: url,
      FILES_DIR: tempDir('worker'),
      WORKER_TAG: tag,
      ...more,
    });

  test('a worker that has not the nodes’ password is refused, and says so once it is sure', async () => {
    const { redis } = hosts.master;
    // A worker listens at any node of a cluster.
    await redis.onNodes((server) => server.call('ACL', 'SETUSER', 'stranger', 'on', '>a password', '~*', '&*', '+@all'));
    const worker = await workerAt(redis.url.replace(/\/\/[^@]*@/, '//stranger:a%20password@'), 'stranger');
    const job = await copied({ name });
    expect(job).toMatchObject({ state: 'FAILURE', result: expect.stringContaining('answered 401: Not a node of this installation') });
    await worker.kill9();
  });

  test('without MASTER_API_URL a job that needs a file of the master says what to set', async () => {
    const worker = await workerAt(hosts.master.redis.url, 'lost', { MASTER_API_URL: '' });
    expect(await copied({ name })).toMatchObject({ state: 'FAILURE', result: expect.stringContaining('MASTER_API_URL is not set') });
    await worker.kill9();
  });
});
