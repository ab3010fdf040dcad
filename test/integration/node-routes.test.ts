import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { nodeCredential } from '../../shared/node-credential.ts';
import { type Delivery, deliveryPath, fetchPath } from '../../shared/node-files.ts';
import { writeAccounts } from '../support/accounts.ts';
import type { Method } from '../support/https.ts';
import { tempDir } from '../support/temp.ts';
import { type ApiNode, startApiNode } from './api-node.ts';

let node: ApiNode;
let credential: string;

beforeAll(async () => {
  node = await startApiNode({ API_RATE_LIMIT: '3' });
  const redis = node.redis.connect();
  credential = await nodeCredential(redis, node.redis.settings);
  redis.disconnect();
  writeAccounts(node.files, { ann: 'a secret of hers' });
  writeFileSync(join(node.files, 'in.txt'), 'to be or not to be');
});
afterAll(() => node.stop());

function ask(method: Method, path: string, { body, headers = {}, as = credential }: { body?: string; headers?: object; as?: string } = {}) {
  return node.api.send(method, path, body, { headers: { authorization: `FastTask-Node ${as}`, ...headers } });
}

const deliveryOf = (name: string, content: string, owner = 'ann'): Delivery => ({
  name,
  owner,
  size: content.length,
  sha256: createHash('sha256').update(content).digest('hex'),
});
const put = (delivery: Delivery, offset: number, body: string) =>
  ask('PUT', deliveryPath(delivery), { body, headers: { 'fasttask-offset': String(offset) } });
const parts = () => (existsSync(join(node.files, 'fasttask/uploads_tmp')) ? readdirSync(join(node.files, 'fasttask/uploads_tmp')) : []);

test('what nodes ask of each other does not exist for anybody else, in any method', async () => {
  for (const method of ['GET', 'HEAD', 'PUT', 'POST', 'DELETE'] as const) {
    for (const path of [fetchPath('in.txt'), deliveryPath(deliveryOf('x', 'x'))]) {
      const missing = await node.api.send(method, '/no/such/path');
      const answer = await node.api.send(method, path);
      expect([answer.status, answer.body]).toEqual([404, missing.body]);
    }
  }
  const document = await node.api.get('/openapi.json', { auth: ['ann', 'a secret of hers'] });
  expect(document.status).toBe(200);
  expect(JSON.stringify(document.body)).not.toContain('/nodes/');
});

test('nodes need no accounts where callers do', async () => {
  const files = tempDir('files');
  writeFileSync(join(files, 'in.txt'), 'for nodes');
  const { api } = await node.anotherApi({ API_HOST: '0.0.0.0', API_TLS: 'False', FILES_DIR: files });
  expect((await api.get('/workers')).headers['fasttask-error']).toBe('accounts_missing');
  expect((await api.get(fetchPath('in.txt'), { headers: { authorization: `FastTask-Node ${credential}` } })).body).toBe('for nodes');
});

test('a wrong credential is refused, then slowed, and the right one is not', async () => {
  expect(await ask('GET', fetchPath('in.txt'), { as: 'wrong' })).toMatchObject({
    status: 401,
    headers: { 'fasttask-error': 'unauthorized' },
  });
  for (let count = 0; count < 10; count += 1) await ask('GET', fetchPath('in.txt'), { as: `wrong ${count}` });
  expect((await ask('GET', fetchPath('in.txt'), { as: credential.slice(1) })).status).toBe(429);
  // More requests than API_RATE_LIMIT.
  for (let count = 0; count < 5; count += 1) expect((await ask('GET', fetchPath('in.txt'))).body).toBe('to be or not to be');
});

test('a delivery goes on where it broke off, and is a file of its owner with the last byte', async () => {
  const content = '0123456789';
  const delivery = deliveryOf('out.txt', content);
  expect((await ask('HEAD', deliveryPath(delivery))).headers['fasttask-offset']).toBe('0');
  expect((await put(delivery, 0, '0123')).headers['fasttask-offset']).toBe('4');
  expect(existsSync(join(node.files, 'out.txt'))).toBe(false);
  expect((await ask('HEAD', deliveryPath(delivery))).headers['fasttask-offset']).toBe('4');
  expect((await put(delivery, 5, '56789')).status).toBe(412);
  const last = await put(delivery, 4, '456789');
  expect(last).toMatchObject({ status: 200, headers: { 'fasttask-offset': '10', etag: expect.stringMatching(/^"a-/) } });
  const fetched = await ask('GET', fetchPath('out.txt'));
  expect(fetched).toMatchObject({
    status: 200,
    body: content,
    headers: { etag: last.headers['etag'], 'x-content-sha256': delivery.sha256, 'fasttask-file-owner': 'ann' },
  });
  // Made again, it changes nothing; another file of this name is refused.
  expect(await put(delivery, 0, content)).toMatchObject({ status: 200, headers: { etag: last.headers['etag'] } });
  expect((await put(deliveryOf('out.txt', '9876543210'), 0, '9876543210')).status).toBe(412);
  expect(readFileSync(join(node.files, 'out.txt'), 'utf8')).toBe(content);
  expect(parts()).toEqual([]);
});

test('an empty file is delivered with no byte', async () => {
  expect((await put(deliveryOf('empty.txt', '', ''), 0, '')).status).toBe(200);
  const answer = await ask('GET', fetchPath('empty.txt'));
  expect([answer.status, answer.body, answer.headers['fasttask-file-owner']]).toEqual([200, '', undefined]);
});

test('bytes with another digest, and bytes too many, are refused and not kept', async () => {
  expect((await put(deliveryOf('bad.txt', 'expected'), 0, 'what came')).status).toBe(412);
  expect((await put(deliveryOf('bad.txt', 'expected'), 0, 'whatcame')).status).toBe(412);
  expect([existsSync(join(node.files, 'bad.txt')), parts()]).toEqual([false, []]);
});

test('a delivery that is refused while its bytes come keeps nobody waiting on its connection', async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false });
  const content = 'x'.repeat(6_000_000);
  const target = { host: '127.0.0.1', port: node.port, path: deliveryPath({ ...deliveryOf('long.txt', content), size: 1000 }), agent };
  const statusOf = (method: string, body: string) =>
    new Promise<number | undefined>((resolve, reject) => {
      const headers = { authorization: `FastTask-Node ${credential}`, 'fasttask-offset': '0', 'content-length': body.length };
      request({ ...target, method, headers }, (answer) => answer.resume().once('close', () => resolve(answer.statusCode)))
        .once('error', reject)
        .end(body);
    });
  try {
    const began = performance.now();
    expect([await statusOf('PUT', content), await statusOf('HEAD', '')]).toEqual([412, 200]);
    // What is left of a body is read on for 5 s at most; an idle connection is closed after 30 s.
    expect(performance.now() - began).toBeLessThan(15_000);
  } finally {
    agent.destroy();
  }
});

test('a sender that falls silent is cut off, which is no fault of this server, and what came is kept', async () => {
  const delivery = deliveryOf('silent.txt', 'whole');
  const failed = () => node.process.log.filter(({ event }) => event === 'request.failed');
  const before = failed().length;
  await new Promise<void>((resolve) => {
    const headers = { authorization: `FastTask-Node ${credential}`, 'fasttask-offset': '0', 'content-length': '5' };
    const options = { port: node.port, method: 'PUT', path: deliveryPath(delivery), headers, rejectUnauthorized: false };
    const sending = request(options).on('error', () => {});
    sending.once('close', resolve).write('who');
  });
  expect((await ask('HEAD', deliveryPath(delivery))).headers['fasttask-offset']).toBe('3');
  expect(failed().slice(before)).toEqual([]);
  expect((await put(delivery, 3, 'le')).headers['fasttask-offset']).toBe('5');
}, 60_000);

test.each([[''], ['.'], ['../x'], ['fasttask/conf/x'], ['/etc/x']])('nothing is delivered as %s', async (name) => {
  expect([400, 403]).toContain((await put(deliveryOf(name, 'x'), 0, 'x')).status);
});

test('the same delivery twice at once is one file', async () => {
  const content = 'x'.repeat(2_000_000);
  const delivery = deliveryOf('twice.txt', content);
  const answers = await Promise.all([put(delivery, 0, content), put(delivery, 0, content)]);
  expect(answers.map(({ status }) => status)).toEqual([200, 200]);
  expect(readFileSync(join(node.files, 'twice.txt'), 'utf8')).toBe(content);
  expect(parts()).toEqual([]);
});
