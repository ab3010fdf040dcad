import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { basename, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ensureCertificate } from '../../shared/certificate.ts';
import { hashOf, writeAccounts } from '../support/accounts.ts';
import { jobOf } from '../support/https.ts';
import { freePort } from '../support/ports.ts';
import { startService } from '../support/processes.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';
import { startTwoHosts, type TwoHosts } from './two-hosts.ts';

const MEBIBYTE = 1024 ** 2;

/** Where a file of this name lies below a folder, at any depth. */
function found(folder: string, name: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => basename(path) === name)
    .map((path) => join(folder, path));
}

/** What lies in a FILES_DIR beside the system folder. */
const visible = (folder: string) => readdirSync(folder).filter((name) => name !== 'fasttask' && name !== 'tasks');

async function copied(hosts: TwoHosts, params: Record<string, unknown>, { task = 'copies_file', headers = {} } = {}) {
  const job = jobOf(await hosts.master.api.post(`/run/${task}`, params, { headers, timeoutMs: 90_000 }));
  return { ...job, output: String(Object(job.result).name), path: String(Object(job.result).path) };
}

describe.each(['prefork', 'gevent'])('files of a worker with WORKER_POOL=%s', (pool) => {
  let hosts: TwoHosts;

  beforeAll(async () => {
    hosts = await startTwoHosts({ worker: { WORKER_POOL: pool } });
  });
  afterAll(() => hosts.stop());

  test.each([['copies_file'], ['copies_file_isolated']])(
    '%s opens what was uploaded at the master; who sees SUCCESS can fetch the output',
    async (task) => {
      const { name, sha256 } = await hosts.upload(3 * MEBIBYTE + 17, { fileName: 'a näme.bin' });
      const job = await copied(hosts, { name, extension: 'tar.gz' }, { task });
      expect(job, JSON.stringify(job)).toMatchObject({ state: 'SUCCESS' });
      expect(await hosts.download(job.output)).toEqual({ status: 200, size: 3 * MEBIBYTE + 17, sha256 });
      expect(job.path.startsWith(hosts.workerFiles)).toBe(true);
    },
  );

  test('an empty file is a file', async () => {
    const { name, sha256 } = await hosts.upload(0);
    const job = await copied(hosts, { name });
    expect(job, JSON.stringify(job)).toMatchObject({ state: 'SUCCESS' });
    expect(await hosts.download(job.output)).toEqual({ status: 200, size: 0, sha256 });
  });

  test('an output of one job is the input of another', async () => {
    const { name, sha256 } = await hosts.upload(MEBIBYTE);
    const first = await copied(hosts, { name });
    const second = await copied(hosts, { name: first.output });
    expect(second, JSON.stringify(second)).toMatchObject({ state: 'SUCCESS' });
    expect((await hosts.download(second.output)).sha256).toBe(sha256);
  });

  test.each([
    ['nothing', 'NotFoundError: File not found'],
    ['../secret', 'FileNameError: Invalid file name'],
    ['fasttask/conf/x', 'FileNameError: Access to this folder is forbidden'],
  ])('%s is refused at once, in the words of a master', async (name, message) => {
    const began = performance.now();
    const job = await copied(hosts, { name });
    expect(job).toMatchObject({ state: 'FAILURE', result: expect.stringContaining(message) });
    expect(performance.now() - began).toBeLessThan(5000);
  });
});

describe('a link that fails', () => {
  let hosts: TwoHosts;

  beforeAll(async () => {
    hosts = await startTwoHosts();
  });
  afterAll(() => hosts.stop());

  test('cut in the middle of both ways, each goes on where it was', async () => {
    const size = 48 * MEBIBYTE;
    const { name, sha256 } = await hosts.upload(size);
    const before = hosts.link.bytes.there + hosts.link.bytes.back;
    hosts.link.cutAt(before + 0.5 * size, before + 1.6 * size);
    const job = await copied(hosts, { name });
    expect(job, JSON.stringify(job)).toMatchObject({ state: 'SUCCESS' });
    expect(hosts.link.cuts).toBe(2);
    expect(await hosts.download(job.output)).toEqual({ status: 200, size, sha256 });
    expect(hosts.link.bytes.there + hosts.link.bytes.back - before).toBeLessThan(2 * 1.2 * size);
  });

  test('away for five seconds, a job that needs a file waits', async () => {
    const { name } = await hosts.upload(MEBIBYTE);
    hosts.link.down();
    const { id } = jobOf(await hosts.master.api.post('/create/copies_file', { name }));
    await hosts.master.reaches(id, 'STARTED');
    await pause(5000);
    expect(jobOf(await hosts.master.api.get(`/check/${id}`)).state).toBe('STARTED');
    hosts.link.up();
    expect(await hosts.master.reaches(id, 'SUCCESS', 'FAILURE')).toMatchObject({ state: 'SUCCESS' });
  });

  test('away at the end of a job, it is not done until its output can be fetched', async () => {
    const { name, sha256 } = await hosts.upload(MEBIBYTE);
    const { id } = jobOf(await hosts.master.api.post('/create/copies_file', { name, hold: 2 }));
    await until(() => found(hosts.workerFiles, name).length > 0, { what: 'the file to be fetched', timeoutMs: 10_000 });
    hosts.link.down();
    await pause(6000);
    expect(jobOf(await hosts.master.api.get(`/check/${id}`)).state).toBe('STARTED');
    hosts.link.up();
    const job = await hosts.master.reaches(id, 'SUCCESS', 'FAILURE');
    expect(job, JSON.stringify(job)).toMatchObject({ state: 'SUCCESS' });
    expect(await hosts.download(String(Object(job.result).name))).toMatchObject({ status: 200, sha256 });
  });

  test('away for good, a job whose output cannot be delivered fails at its hard limit and says so', async () => {
    const { name } = await hosts.upload(MEBIBYTE);
    const there = visible(hosts.master.files);
    const headers = { 'FastTask-Time-Limit': '7', 'FastTask-Soft-Time-Limit': '6' };
    const { id } = jobOf(await hosts.master.api.post('/create/copies_file', { name, hold: 2 }, { headers }));
    await until(() => found(hosts.workerFiles, name).length > 0, { what: 'the file to be fetched', timeoutMs: 10_000 });
    const began = performance.now();
    hosts.link.down();
    const job = await hosts.master.reaches(id, 'SUCCESS', 'FAILURE');
    hosts.link.up();
    expect(performance.now() - began).toBeLessThan(9000);
    expect(job).toMatchObject({ state: 'FAILURE', result: expect.stringMatching(/deliver/i) });
    expect(String(job.result)).not.toContain(hosts.workerFiles);
    expect(visible(hosts.master.files)).toEqual(there);
  });

  test('silent at the end of a job, its failure says which limit is over', async () => {
    const { name } = await hosts.upload(1000);
    const headers = { 'FastTask-Time-Limit': '6', 'FastTask-Soft-Time-Limit': '5.9' };
    const { id } = jobOf(await hosts.master.api.post('/create/copies_file', { name, hold: 1.5 }, { headers }));
    await until(() => found(hosts.workerFiles, name).length > 0, { what: 'the file to be fetched', timeoutMs: 10_000 });
    const { log } = hosts.worker;
    hosts.master.process.signal('SIGSTOP');
    try {
      await hosts.worker.waitForEvent('job.failed', { after: log.length, where: ({ jobId }) => jobId === id });
    } finally {
      hosts.master.process.signal('SIGCONT');
    }
    const job = await hosts.master.reaches(id, 'SUCCESS', 'FAILURE');
    expect(job).toMatchObject({ state: 'FAILURE', result: expect.stringMatching(/limit of 6 s: .*could not be delivered/) });
  });

  test('a task that is told to stop opens its input again', async () => {
    const { name } = await hosts.upload(1000);
    const job = jobOf(await hosts.master.api.post('/run/reopens_file', { name }));
    expect(job, JSON.stringify(job)).toMatchObject({ state: 'SUCCESS', result: { again: true } });
  });

  test('four jobs that want one file fetch it once', async () => {
    const size = 16 * MEBIBYTE;
    const { name } = await hosts.upload(size);
    const before = hosts.link.bytes.back;
    const jobs = await Promise.all(Array.from({ length: 4 }, () => copied(hosts, { name })));
    expect(jobs.map(({ state }) => state)).toEqual(Array.from({ length: 4 }, () => 'SUCCESS'));
    expect(hosts.link.bytes.back - before).toBeLessThan(1.3 * size);
  });

  test('a file is fetched once for jobs that come later, too', async () => {
    const { name } = await hosts.upload(4 * MEBIBYTE);
    await copied(hosts, { name });
    const before = hosts.link.bytes.back;
    expect((await copied(hosts, { name })).state).toBe('SUCCESS');
    expect(hosts.link.bytes.back - before).toBeLessThan(MEBIBYTE);
  });
});

describe('what is not to be trusted', () => {
  let hosts: TwoHosts;

  beforeAll(async () => {
    hosts = await startTwoHosts();
  });
  afterAll(() => hosts.stop());

  test.each([
    ['other bytes', (file: string) => writeFileSync(file, Buffer.alloc(statSync(file).size, 'x'))],
    ['fewer bytes', (file: string) => writeFileSync(file, readFileSync(file).subarray(0, MEBIBYTE / 2))],
  ])('a file that has %s than were uploaded is not opened', async (_, damage) => {
    const { name } = await hosts.upload(MEBIBYTE);
    damage(join(hosts.master.files, name));
    const headers = { 'FastTask-Time-Limit': '12', 'FastTask-Soft-Time-Limit': '10' };
    const job = await copied(hosts, { name }, { headers });
    expect(job.state, JSON.stringify(job)).toBe('FAILURE');
    expect(job.result).toMatch(/sha-?256|digest|damaged/i);
    expect(found(hosts.workerFiles, name)).toEqual([]);
  });

  test('to a server with another certificate nothing is said', async () => {
    const folder = tempDir('impostor');
    const pair = { keyFile: join(folder, 'key.pem'), certFile: join(folder, 'cert.pem') };
    await ensureCertificate({ ...pair, apiHost: '127.0.0.1' });
    const seen = { connections: 0, requests: 0 };
    const impostor = createServer({ key: readFileSync(pair.keyFile), cert: readFileSync(pair.certFile) }, (_, answer) => {
      seen.requests += 1;
      answer.end();
    });
    impostor.on('secureConnection', (socket) => {
      seen.connections += 1;
      socket.on('error', () => {});
    });
    const port = await freePort();
    await new Promise<void>((resolve) => impostor.listen(port, '127.0.0.1', resolve));
    const worker = await hosts.anotherWorker({
      FILES_DIR: tempDir('worker'),
      MASTER_API_URL: `https://127.0.0.1:${port}`,
      WORKER_TAG: 'deceived',
    });
    try {
      hosts.worker.signal('SIGSTOP');
      const { name } = await hosts.upload(1000);
      const headers = { 'FastTask-Time-Limit': '12', 'FastTask-Soft-Time-Limit': '10' };
      const job = await copied(hosts, { name }, { headers });
      expect(job.state).toBe('FAILURE');
      expect(`${job.result}\n${worker.output.join('\n')}`).toMatch(/certificate|fingerprint/i);
      expect(seen.requests).toBe(0);
    } finally {
      hosts.worker.signal('SIGCONT');
      await worker.kill9();
      impostor.closeAllConnections();
      await new Promise((resolve) => impostor.close(resolve));
    }
  });

  test('to others the paths of nodes do not exist', async () => {
    const { api } = hosts.master;
    const unknown = await api.get('/nodes/nothing');
    for (const path of ['/nodes/file?file_name=x', '/nodes/delivery?file_name=x', '/nodes'])
      expect(await api.get(path)).toMatchObject({ status: 404, body: unknown.body });
    expect(JSON.stringify((await api.get('/openapi.json')).body)).not.toContain('/nodes');
  });
});

describe('whose files they are', () => {
  let hosts: TwoHosts;
  const basic = (name: string) => `Basic ${Buffer.from(`${name}:secret of ${name}`).toString('base64')}`;

  beforeAll(async () => {
    hosts = await startTwoHosts();
    const account = (name: string, role: string) => [name, { secret: hashOf(`secret of ${name}`), role }];
    writeAccounts(
      hosts.master.files,
      Object.fromEntries([account('ann', 'submitter'), account('bob', 'submitter'), account('root', 'admin')]),
    );
    await until(async () => (await hosts.master.api.get('/openapi.json')).status === 401, {
      what: 'the accounts to be noticed',
      timeoutMs: 10_000,
    });
  });
  afterAll(() => hosts.stop());

  test('a worker opens for a submitter what is theirs, whether it has fetched the file or not; the output is theirs', async () => {
    const { name, sha256 } = await hosts.upload(1000, { auth: basic('ann') });
    const as = (caller: string) => copied(hosts, { name }, { headers: { authorization: basic(caller) } });
    const missing = { state: 'FAILURE', result: expect.stringContaining('File not found') };
    expect(await as('bob')).toMatchObject(missing);
    const own = await as('ann');
    expect(own, JSON.stringify(own)).toMatchObject({ state: 'SUCCESS' });
    expect(await as('bob')).toMatchObject(missing);
    expect(await as('root')).toMatchObject({ state: 'SUCCESS' });
    expect(await hosts.download(own.output, basic('ann'))).toMatchObject({ status: 200, sha256 });
    expect(await hosts.download(own.output, basic('bob'))).toMatchObject({ status: 404 });
  });
});

test('on a shared volume nothing is copied', async () => {
  const shared = tempDir('shared');
  mkdirSync(join(shared, 'tasks'));
  const env = { FILES_DIR: shared, FILES_SHARED: 'True' };
  const ssl = join(shared, 'fasttask', 'ssl_cert');
  mkdirSync(ssl, { recursive: true });
  await ensureCertificate({ keyFile: join(ssl, 'key.pem'), certFile: join(ssl, 'cert.pem'), apiHost: '127.0.0.1' });
  const hosts = await startTwoHosts({ master: env, worker: env });
  try {
    const { name, sha256 } = await hosts.upload(MEBIBYTE);
    const job = await copied(hosts, { name });
    expect(job, JSON.stringify(job)).toMatchObject({ state: 'SUCCESS', result: { path: join(shared, name) } });
    expect((await hosts.download(job.output)).sha256).toBe(sha256);
    expect(hosts.link.bytes).toEqual({ there: 0, back: 0 });
    expect(visible(shared).sort()).toEqual([name, job.output].sort());
  } finally {
    await hosts.stop();
  }
});

test('the janitor of a worker leaves a fetched file to the job that uses it, and then removes it', async () => {
  const hosts = await startTwoHosts({ worker: { FILE_EXPIRATION_SECONDS: '3600' } });
  const long = new Date(Date.now() - 2 * 3_600_000);
  const sweep = async () => {
    const janitor = await startService('janitor', hosts.workerEnv);
    expect((await janitor.exited).code, janitor.tail()).toBe(0);
  };
  const age = (path: string) => utimesSync(path, long, long);
  try {
    const { name } = await hosts.upload(1000);
    const { id } = jobOf(await hosts.master.api.post('/create/copies_file', { name, hold: 60 }));
    const [fetched = ''] = await until(
      () => {
        const files = found(hosts.workerFiles, name);
        return files.length > 0 && files;
      },
      { what: 'the file to be fetched', timeoutMs: 10_000 },
    );
    const lease = join(hosts.workerFiles, 'fasttask/files_in_use', createHash('sha256').update(name).digest('hex'));
    await until(() => statSync(lease), { what: 'the job to use its file' });
    age(fetched);
    await sweep();
    expect(found(hosts.workerFiles, name)).toEqual([fetched]);
    await hosts.master.api.post('/revoke', { result_id: id });
    await hosts.master.reaches(id, 'REVOKED');
    age(lease);
    await sweep();
    expect(found(hosts.workerFiles, name)).toEqual([]);
  } finally {
    await hosts.stop();
  }
});
