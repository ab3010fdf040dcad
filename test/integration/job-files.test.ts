import { createHash } from 'node:crypto';
import { cpSync, existsSync, readdirSync, readFileSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { projectDir } from '../../shared/config.ts';
import { jobOf } from '../support/https.ts';
import { filePart, multipartBody } from '../support/multipart.ts';
import { startService } from '../support/processes.ts';
import { until } from '../support/until.ts';
import { type ApiNode, startApiNode } from './api-node.ts';

const FIXTURES = 'test/fixtures/tasks';

async function startNode(pool: string): Promise<ApiNode> {
  const node = await startApiNode({ WORKER_POOL: pool, SOFT_TIME_LIMIT: '50', TIME_LIMIT: '55', FILE_EXPIRATION_SECONDS: '3600' });
  for (const file of [
    'tasks/count_file_words.ts',
    `${FIXTURES}/copies_file.ts`,
    `${FIXTURES}/copies_file_isolated.ts`,
    `${FIXTURES}/packages/copy.ts`,
  ])
    cpSync(join(projectDir, file), join(node.files, file.replace(/^.*tasks\//, 'tasks/')));
  await node.startConsumer();
  return node;
}

async function upload(node: ApiNode, name: string, content: string): Promise<string> {
  const { body, headers } = multipartBody([filePart(name, content)]);
  const answer = await node.api.post('/upload', body, { headers });
  expect(answer.status).toBe(200);
  return (answer.body as { file_name: string }).file_name;
}

describe.each(['prefork', 'gevent'])('ctx.files with WORKER_POOL=%s', (pool) => {
  let node: ApiNode;
  let name: string;

  beforeAll(async () => {
    node = await startNode(pool);
    name = await upload(node, 'in.txt', 'to be or not to be');
  });
  afterAll(() => node.stop());

  test.each([['copies_file'], ['copies_file_isolated']])('%s reads an upload, and makes a download', async (task) => {
    const job = jobOf(await node.api.post(`/run/${task}`, { name, extension: '.tar.gz' }));
    expect(job).toMatchObject({ state: 'SUCCESS', result: { path: join(node.files, name) } });
    const { name: output } = job.result as { name: string };
    expect(output).toMatch(new RegExp(`^[0-9a-f-]{36}_${task}\\.tar\\.gz$`));
    expect(await node.api.get(`/download?file_name=${output}`)).toMatchObject({ status: 200, body: 'to be or not to be' });
  });

  test.each([
    ['nothing', 'NotFoundError: File not found'],
    ['../secret', 'FileNameError: Invalid file name'],
    ['fasttask/conf/x', 'FileNameError: Access to this folder is forbidden'],
    ['tasks', 'NotFoundError: File not found'],
    ['link', 'NotFoundError: File not found'],
  ])('does not open %s', async (bad, message) => {
    if (!existsSync(join(node.files, 'link'))) symlinkSync('/etc/passwd', join(node.files, 'link'));
    const job = jobOf(await node.api.post('/run/copies_file', { name: bad }));
    expect(job.state).toBe('FAILURE');
    expect(job.result).toContain(message);
  });

  test.each(['../x', 'a/b', 'a'.repeat(33), 'a..b', 'a b'])('makes no file with the extension %j', async (extension) => {
    const before = readdirSync(node.files).length;
    const job = jobOf(await node.api.post('/run/copies_file', { name, extension }));
    expect(job).toMatchObject({ state: 'FAILURE', result: expect.stringContaining('TypeError: expected an extension') });
    expect(readdirSync(node.files).length).toBe(before);
  });
});

describe('the example task, and files in use', () => {
  let node: ApiNode;

  beforeAll(async () => {
    node = await startNode('prefork');
  });
  afterAll(() => node.stop());

  test('count_file_words: upload, run, download', async () => {
    const file_name = await upload(node, 'hamlet.txt', 'To be, or not to be');
    const job = jobOf(await node.api.post('/run/count_file_words', { file_name }));
    expect(job).toMatchObject({ state: 'SUCCESS', result: { words: 6 } });
    const { file_name: output } = job.result as { file_name: string };
    expect((await node.api.get(`/download?file_name=${output}`)).body).toBe('to,2\nbe,2\nor,1\nnot,1\n');
  });

  test('the janitor leaves an expired file to the job that uses it, for as long as the job runs', async () => {
    const long = new Date(Date.now() - 2 * 3_600_000);
    for (const file of ['used', 'unused']) {
      writeFileSync(join(node.files, file), file);
      utimesSync(join(node.files, file), long, long);
    }
    const { id } = jobOf(await node.api.post('/create/copies_file', { name: 'used', hold: 40 }));
    await node.reaches(id, 'STARTED');
    const lease = join(node.files, 'fasttask/files_in_use', createHash('sha256').update('used').digest('hex'));
    await until(() => existsSync(lease), { what: 'the job to use its file' });
    // Only a renewal can mend this.
    utimesSync(lease, long, long);
    await until(() => statSync(lease).mtimeMs > Date.now() - 10_000, { what: 'the lease to be renewed', timeoutMs: 25_000 });
    const janitor = await startService('janitor', node.env);
    expect((await janitor.exited).code).toBe(0);
    expect(readFileSync(join(node.files, 'used'), 'utf8')).toBe('used');
    expect(existsSync(join(node.files, 'unused'))).toBe(false);
    await node.api.post('/revoke', { result_id: id });
    await node.reaches(id, 'REVOKED');
    utimesSync(lease, long, long);
    expect((await (await startService('janitor', node.env)).exited).code).toBe(0);
    expect([existsSync(join(node.files, 'used')), existsSync(lease)]).toEqual([false, false]);
  });
});
