/** Ways around the accounts, and what comes of each. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hashOf, writeAccounts } from '../support/accounts.ts';
import { apiClient } from '../support/https.ts';
import { filePart, multipartBody } from '../support/multipart.ts';
import { until } from '../support/until.ts';
import { type ApiNode, startApiNode } from './api-node.ts';

let node: ApiNode;
const accounts = {
  ann: { secret: hashOf('secret of ann'), role: 'admin' },
  root: 'plain secret',
};

beforeAll(async () => {
  node = await startApiNode();
  writeAccounts(node.files, accounts);
  await until(async () => (await node.api.get('/openapi.json')).status === 401, { what: 'the accounts to be noticed', timeoutMs: 10_000 });
});
afterAll(() => node.stop());

const basic = (name: string, secret: string) => `Basic ${Buffer.from(`${name}:${secret}`).toString('base64')}`;
const right = basic('root', 'plain secret');

/** A request byte by byte. @returns the status of the answer, 0 when the connection was closed without one */
function raw(lines: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port: node.port, rejectUnauthorized: false }, () => {
      socket.write(Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'));
    });
    let text = '';
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      text += chunk;
      if (text.includes('\r\n\r\n')) socket.destroy();
    });
    socket.once('close', () => resolve(Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0)));
    socket.once('error', reject);
  });
}
const asking = (...headers: string[]) => raw(['GET /openapi.json HTTP/1.1', 'host: 127.0.0.1', ...headers]);

describe('credentials in odd forms', () => {
  const forms: [what: string, headers: string[], status: number][] = [
    ['the right ones', [`authorization: ${right}`], 200],
    ['the scheme in another case', [`authorization: ${right.replace('Basic', 'bAsIc')}`], 200],
    ['the name in another case', [`authorization: ${basic('ROOT', 'plain secret')}`], 401],
    ['the password in another case', [`authorization: ${basic('root', 'Plain secret')}`], 401],
    ['a prefix of the password', [`authorization: ${basic('root', 'plain')}`], 401],
    ['the password and more', [`authorization: ${basic('root', 'plain secret ')}`], 401],
    ['a NUL behind the password', [`authorization: ${basic('root', 'plain secret\0')}`], 401],
    ['a NUL behind the name', [`authorization: ${basic('root\0', 'plain secret')}`], 401],
    ['an empty password', [`authorization: ${basic('root', '')}`], 401],
    ['no colon', [`authorization: Basic ${Buffer.from('root').toString('base64')}`], 401],
    ['nothing behind the scheme', ['authorization: Basic'], 401],
    ['an empty header', ['authorization:'], 401],
    ['no base64', ['authorization: Basic !!!!'], 401],
    ['the hash of a password as the password', [`authorization: ${basic('ann', accounts.ann.secret)}`], 401],
    ['a password as a key', ['authorization: Bearer plain secret'], 401],
    ['names of what every object has', [`authorization: ${basic('__proto__', '')}`], 401],
    ['constructor', [`authorization: ${basic('constructor', 'x')}`], 401],
    ['wrong ones before the right ones', [`authorization: ${basic('root', 'x')}`, `authorization: ${right}`], 401],
    ['two in one header', [`authorization: ${basic('root', 'x')}, ${right}`], 401],
    ['in the proxy’s header', [`proxy-authorization: ${right}`], 401],
    ['in a cookie', [`cookie: authorization=${right}`], 401],
    ['a name that a proxy would set', ['x-forwarded-user: root', 'x-remote-user: root'], 401],
    ['another method in a header', [`x-http-method-override: OPTIONS`], 401],
  ];
  test.each(forms)('%s', async (_, headers, status) => {
    expect(await asking(...headers)).toBe(status);
  });

  test('in the address', async () => {
    expect((await node.api.get('/openapi.json?user=root&password=plain%20secret&access_token=plain%20secret')).status).toBe(401);
    expect(await raw([`GET https://root:plain%20secret@127.0.0.1/openapi.json HTTP/1.1`, 'host: 127.0.0.1'])).toBe(401);
  });
});

test('no spelling of a path that needs credentials goes without', async () => {
  for (const path of [
    '/openapi.json',
    '/docs',
    '/redoc',
    '/check/x',
    '/events?ids=x',
    '/jobs/x/logs',
    '/download?file_name=x',
    '/docs/assets/5.35.0/swagger-ui-bundle.js',
  ]) {
    for (const spelling of [
      path,
      `/.${path}`,
      `/${path}`,
      path.replace('/', '/health/..%2f'),
      `/health/../${path}`,
      path.toUpperCase(),
      `${path}/`,
      `${path};x`,
    ]) {
      const status = await raw([`GET ${spelling} HTTP/1.1`, 'host: 127.0.0.1']);
      expect([401, 404, 307, 405, 422], spelling).toContain(status);
    }
  }
  for (const method of ['POST', 'HEAD', 'OPTIONS', 'PUT'])
    expect((await node.api.send(method as 'POST', '/openapi.json')).status).toBeGreaterThanOrEqual(401);
});

test('while the file is written, removed, broken and mended again and again, nobody gets in without credentials', async () => {
  const file = join(node.files, 'fasttask', 'conf', 'user_to_passwd.json');
  const text = JSON.stringify(accounts);
  const until_ = performance.now() + 12_000;
  const statuses = new Set<number>();
  let turns = 0;
  while (performance.now() < until_) {
    const state = turns % 4;
    if (state === 0) writeFileSync(file, text.slice(0, text.length / 2));
    else if (state === 1) writeFileSync(file, '');
    else if (state === 2) rmSync(file, { force: true });
    writeFileSync(file, text);
    for (let count = 0; count < 5; count += 1) statuses.add((await node.api.get('/openapi.json')).status);
    turns += 1;
  }
  expect([...statuses].filter((status) => status !== 401 && status !== 503)).toEqual([]);
  await until(async () => (await node.api.get('/openapi.json', { auth: ['root', 'plain secret'] })).status === 200, {
    what: 'the file to hold again',
    timeoutMs: 10_000,
  });
});

test('an address that a client makes up is not believed, unless a proxy is trusted', async () => {
  const guess = (api: ApiNode['api'], address: string) =>
    api.get('/openapi.json', { auth: ['nobody', 'x'], headers: { 'x-forwarded-for': address } });
  const elsewhere = apiClient(node.api.origin, '127.0.0.9');
  for (let count = 0; count < 10; count += 1) expect((await guess(elsewhere, `192.0.2.${count}`)).status).toBe(401);
  expect((await guess(elsewhere, '192.0.2.99')).status).toBe(429);

  const proxied = await node.anotherApi({ TRUST_PROXY: 'True' });
  for (let count = 0; count < 10; count += 1) expect((await guess(proxied.api, `198.51.100.${count}, 203.0.113.5`)).status).toBe(401);
  expect((await guess(proxied.api, '198.51.100.99, 203.0.113.5')).status).toBe(429);
  expect((await guess(proxied.api, '198.51.100.99, 203.0.113.6')).status).toBe(401);
  await proxied.process.stop();
});

test('the name of a file makes no header of its own', async () => {
  const auth = ['root', 'plain secret'] as const;
  for (const name of [
    'a"; filename="evil.html',
    "a'; x=1.txt",

    'a\\r\\nx-evil: 1.txt',
    '=?utf-8?Q?=0D=0A?=.txt',
  ]) {
    const { body, headers } = multipartBody([filePart(name.replaceAll('"', '%22'))]);
    const sent = await node.api.post('/upload', body, { headers, auth });
    expect(sent.status, name).toBe(200);
    const { file_name: stored } = sent.body as { file_name: string };
    const answer = await node.api.get(`/download?file_name=${encodeURIComponent(stored)}`, { auth });
    expect([name, answer.status]).toEqual([name, 200]);
    expect(answer.headers['set-cookie'] ?? answer.headers['x-evil']).toBeUndefined();
    expect(String(answer.headers['content-disposition'])).toMatch(/^attachment; filename=/);
    expect(answer.headers['content-security-policy']).toBe('sandbox');
  }
  // Browsers write a line break in a name as %0D%0A.
  const { body, headers } = multipartBody([filePart('a%0d%0aset-cookie%3A x=1.txt')]);
  expect((await node.api.post('/upload', body, { headers, auth })).status).toBe(422);
  for (const name of ['a\r\nset-cookie: x=1.txt', 'a\nb.txt', 'a\0.txt']) {
    const { body, headers } = multipartBody([{ disposition: `; name="file"; filename*=UTF-8''${encodeURIComponent(name)}` }]);
    expect((await node.api.post('/upload', body, { headers, auth })).status, JSON.stringify(name)).toBe(422);
  }
});
