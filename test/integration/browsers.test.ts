import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { jobOf } from '../support/https.ts';
import { until } from '../support/until.ts';
import { type ApiNode, startApiNode } from './api-node.ts';

let node: ApiNode;

beforeAll(async () => {
  node = await startApiNode({ API_CORS_ORIGINS: 'https://app.example.org' });
  await node.startConsumer();
});
afterAll(() => node.stop());

const changing = ['/run/noop', '/create/noop', '/create/noop/batch', '/revoke', '/status_info', '/upload'];
const bodyOf = (path: string) => (path.endsWith('/batch') ? [{}] : path === '/revoke' ? { result_id: 'x' } : {});

describe('requests that a page of another site makes a browser send', () => {
  const foreign: [what: string, headers: Record<string, string>][] = [
    ['another origin', { origin: 'https://evil.example' }],
    ['another port of this host', { origin: 'https://127.0.0.1:1' }],
    ['an origin that is hidden', { origin: 'null' }],
    ['no URL', { origin: 'nonsense' }],
    ['another site', { 'sec-fetch-site': 'cross-site' }],
    ['another name of this site', { 'sec-fetch-site': 'same-site', origin: 'https://other.localhost' }],
    ['a form of another site', { origin: 'https://evil.example', 'content-type': 'text/plain' }],
    ['a name that was pointed to this machine', { 'sec-fetch-site': 'same-origin', host: 'evil.example:9001' }],
  ];
  test.each(foreign)('%s: refused on every changing request', async (_, headers) => {
    for (const path of changing) {
      const answer = await node.api.post(path, bodyOf(path), { headers });
      expect([path, answer.status, answer.headers['fasttask-error']]).toEqual([path, 403, 'cross_site']);
      expect(answer.headers['access-control-allow-origin']).toBeUndefined();
    }
  });

  test('pages of this server, allowed origins and clients that are no browsers are served', async () => {
    for (const headers of [
      {},
      { origin: node.api.origin },
      { 'sec-fetch-site': 'same-origin', origin: node.api.origin },
      { 'sec-fetch-site': 'none' },
      { origin: 'https://app.example.org', 'sec-fetch-site': 'cross-site' },
    ]) {
      expect((await node.api.post('/create/noop', {}, { headers })).status, JSON.stringify(headers)).toBe(200);
    }
  });

  test('a page of a name that was pointed to this machine cannot even read', async () => {
    for (const path of ['/openapi.json', '/check/x', '/docs', '/download?file_name=x']) {
      const answer = await node.api.get(path, { headers: { 'sec-fetch-site': 'same-origin', host: 'evil.example:9001' } });
      expect([path, answer.status]).toEqual([path, 403]);
    }
  });

  test('reading changes nothing and is not refused; another site cannot read the answer', async () => {
    const answer = await node.api.get('/openapi.json', { headers: { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' } });
    expect(answer.status).toBe(200);
    expect(answer.headers['access-control-allow-origin']).toBeUndefined();
    expect(answer.headers['cross-origin-resource-policy']).toBe('same-origin');
  });
});

describe('CORS', () => {
  test('an allowed origin is told what it may do, another is not', async () => {
    const asks = (origin: string) => ({
      headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization,content-type' },
    });
    const allowed = await node.api.send('OPTIONS', '/create/noop', undefined, asks('https://app.example.org'));
    expect([allowed.status, allowed.headers['access-control-allow-origin'], allowed.headers['access-control-allow-credentials']]).toEqual([
      204,
      'https://app.example.org',
      undefined,
    ]);
    expect(allowed.headers['access-control-allow-headers']).toContain('authorization');
    const other = await node.api.send('OPTIONS', '/create/noop', undefined, asks('https://evil.example'));
    expect([other.status, other.headers['access-control-allow-origin']]).toEqual([405, undefined]);
    const failed = await node.api.post('/create/noop', '{', { headers: { origin: 'https://app.example.org' } });
    expect([failed.status, failed.headers['access-control-allow-origin']]).toEqual([422, 'https://app.example.org']);
  });

  test('is off where API_CORS_ORIGINS is empty', async () => {
    const plain = await node.anotherApi({ API_CORS_ORIGINS: '' });
    await until(async () => (await plain.api.get('/ready')).status === 200, { what: 'the API to be ready' });
    const answer = await plain.api.get('/openapi.json', { headers: { origin: 'https://app.example.org' } });
    expect([answer.headers['access-control-allow-origin'], answer.headers['vary']]).toEqual([undefined, undefined]);
    await plain.process.stop();
  });
});

test('every answer tells browsers to make nothing of it but data', async () => {
  for (const path of ['/health', '/nowhere', '/check/x', '/openapi.json', '/docs']) {
    const { headers } = await node.api.get(path);
    expect(headers, path).toMatchObject({
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'x-frame-options': 'DENY',
    });
    expect(headers['content-security-policy'], path).toContain("default-src 'none'");
    expect(headers['x-powered-by'] ?? headers['server'], path).toBeUndefined();
  }
});

test('a refused request tells its code and its id, and the audit log has who did what from where', async () => {
  const created = jobOf(await node.api.post('/create/noop', {}, { headers: { 'x-request-id': 'first-1' } }));
  const refused = await node.api.post('/create/noop', {}, { headers: { 'x-request-id': 'second-2', origin: 'https://evil.example' } });
  expect(refused.headers['x-request-id']).toBe('second-2');
  await node.api.post('/revoke', { result_id: created.id }, { headers: { 'x-request-id': 'third-3' } });
  const file = join(node.files, 'fasttask', 'log', 'audit.log');
  await node.api.get('/download?file_name=fasttask/conf/x', { headers: { 'x-request-id': 'fourth-4' } });
  const lines = await until(
    () => {
      const all = readFileSync(file, 'utf8').split('\n').filter(Boolean);
      const own = all.map((line) => JSON.parse(line) as Record<string, unknown>).filter(({ requestId }) => /-\d$/.test(String(requestId)));
      return own.length >= 4 ? own : undefined;
    },
    { what: 'the lines to be written' },
  );
  expect(lines).toMatchObject([
    { event: 'job.created', user: 'Anonymous', address: '127.0.0.1', task: 'noop', jobId: created.id, requestId: 'first-1' },
    { event: 'caller.refused', code: 'cross_site', requestId: 'second-2', path: '/create/noop' },
    { event: 'job.revoked', user: 'Anonymous', jobId: created.id, requestId: 'third-3' },
    { event: 'caller.refused', code: 'system_folder', user: 'Anonymous', requestId: 'fourth-4' },
  ]);
});
