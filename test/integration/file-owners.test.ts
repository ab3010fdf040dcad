import { readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import Koa from 'koa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { answerError } from '../../services/api/answer-error.ts';
import type { Caller } from '../../services/api/caller.ts';
import type { Context, RequestState } from '../../services/api/route.ts';
import { downloadRoute } from '../../services/api/routes/download.ts';
import { uploadRoute } from '../../services/api/routes/upload.ts';
import { loadConfig } from '../../shared/config.ts';
import { createLogger } from '../../shared/logger.ts';
import { apiClient } from '../support/https.ts';
import { filePart, multipartBody } from '../support/multipart.ts';
import { freePort } from '../support/ports.ts';
import { tempDir } from '../support/temp.ts';

const files = tempDir('files');
const callers: Record<string, Caller> = {
  ann: { name: 'ann', role: 'submitter' },
  bob: { name: 'bob', role: 'submitter' },
  root: { name: 'root', role: 'admin' },
  eve: { name: 'eve', role: 'viewer' },
};
const server = createServer();
let api: ReturnType<typeof apiClient>;

// The two routes over HTTP, for callers of every role: how a role is come by is the subject of other tests.
beforeAll(async () => {
  const config = loadConfig({ NODE_TYPE: 'single_node', FILES_DIR: files });
  const log = createLogger('silent', { service: 'test' });
  const routes = [uploadRoute({ config }), downloadRoute({ config })];
  const app = new Koa<RequestState, Context>();
  app.use(async (ctx) => {
    ctx.state.caller = callers[ctx.get('x-caller')] ?? { name: 'nobody', role: 'submitter' };
    try {
      await routes.find(({ path }) => path === ctx.path)?.handle(ctx);
    } catch (error) {
      answerError(ctx, error, log);
    }
  });
  const answer = app.callback();
  server.on('request', (request, response) => void answer(request, response));
  const port = await freePort();
  await new Promise<void>((resolve) => void server.listen(port, '127.0.0.1', resolve));
  api = apiClient(`http://127.0.0.1:${port}`);
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

async function upload(caller: string) {
  const { body, headers } = multipartBody([filePart('f.txt', `of ${caller}`)]);
  return await api.post('/upload', body, { headers: { ...headers, 'x-caller': caller } });
}
const download = (caller: string, name: string) =>
  api.get(`/download?file_name=${encodeURIComponent(name)}`, { headers: { 'x-caller': caller } });

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
