import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { hashOf, writeAccounts } from '../support/accounts.ts';
import { jobOf } from '../support/https.ts';
import { filePart, multipartBody } from '../support/multipart.ts';
import { until } from '../support/until.ts';
import { type ApiNode, startApiNode } from './api-node.ts';

let node: ApiNode;
let files: string;

const authOf = (name: string) => ({ auth: [name, `secret of ${name}`] as const });

beforeAll(async () => {
  node = await startApiNode();
  files = node.files;
  await node.startConsumer();
  const account = (name: string, role: string) => [name, { secret: hashOf(`secret of ${name}`), role }];
  const submitters = ['ann', 'bob', 'stranger'].map((name) => account(name, 'submitter'));
  writeAccounts(files, Object.fromEntries([...submitters, account('root', 'admin'), account('eve', 'viewer')]));
  await until(async () => (await node.api.get('/openapi.json')).status === 401, { what: 'the accounts to be noticed', timeoutMs: 10_000 });
});
afterAll(() => node.stop());

async function upload(caller: string) {
  const { body, headers } = multipartBody([filePart('f.txt', `of ${caller}`)]);
  return await node.api.post('/upload', body, { headers, ...authOf(caller) });
}
const download = (caller: string, name: string) => node.api.get(`/download?file_name=${encodeURIComponent(name)}`, authOf(caller));

test('a submitter sees own files only; those of others are as missing as files that do not exist', async () => {
  const { body } = await upload('ann');
  const { file_name: name } = body as { file_name: string };
  const missing = await download('bob', 'no such file');
  for (const [caller, status] of [
    ['ann', 200],
    ['root', 200],
    ['eve', 200],
    ['bob', 404],
    ['stranger', 404],
  ] as const)
    expect([caller, (await download(caller, name)).status]).toEqual([caller, status]);
  for (const spelling of [name, `./${name}`, `.//${name}/`]) {
    expect(await download('bob', spelling)).toMatchObject({ status: 404, body: missing.body });
    expect((await download('ann', spelling)).status).toBe(200);
  }
});

test('a file that nobody owns is for those who see all', async () => {
  writeFileSync(join(files, 'old.txt'), 'from before there were owners');
  for (const [caller, status] of [
    ['root', 200],
    ['eve', 200],
    ['ann', 404],
  ] as const)
    expect([caller, (await download(caller, 'old.txt')).status]).toEqual([caller, status]);
});

test('a record that is not understood makes nobody the owner', async () => {
  writeFileSync(join(files, 'odd.txt'), 'x');
  for (const record of ['', '[]', 'null', '{"owner":7}', '{"owner":{"name":"ann"}}']) {
    writeFileSync(join(files, 'fasttask/file_records/odd.txt.json'), record);
    expect((await download('ann', 'odd.txt')).status).toBe(404);
    expect((await download('root', 'odd.txt')).status).toBe(200);
  }
});

test('a viewer uploads nothing', async () => {
  const before = readdirSync(files);
  expect((await upload('eve')).status).toBe(403);
  expect(readdirSync(files)).toEqual(before);
});

test('a job reads for its submitter what they may read themselves, and its output is theirs', async () => {
  const { body } = await upload('ann');
  const { file_name: name } = body as { file_name: string };
  const count = async (caller: string) => jobOf(await node.api.post('/run/count_file_words', { file_name: name }, authOf(caller)));
  const own = await count('ann');
  expect(own, JSON.stringify(own)).toMatchObject({ state: 'SUCCESS' });
  const output = String(Object(own.result).file_name);
  expect([(await download('ann', output)).status, (await download('bob', output)).status]).toEqual([200, 404]);
  expect((await count('root')).state).toBe('SUCCESS');
  const other = await count('bob');
  expect(other).toMatchObject({ state: 'FAILURE', result: expect.stringContaining('File not found') });
});
