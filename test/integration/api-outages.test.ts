import { afterAll, beforeAll, expect, test } from 'vitest';
import { apiClient, jobOf } from '../support/https.ts';
import { freePort } from '../support/ports.ts';
import { startService, type TestProcess } from '../support/processes.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';
import { type ApiNode, startApiNode } from './api-node.ts';

let node: ApiNode;
let consumer: TestProcess;

beforeAll(async () => {
  node = await startApiNode();
  consumer = await node.startConsumer();
});
afterAll(() => node.stop());

/** Every kind of route that needs Redis; each must be refused within 2 s. */
async function expectUnavailable() {
  const id = `X-noop-${'0'.repeat(8)}`;
  const calls = [
    () => node.api.post('/create/noop', {}),
    () => node.api.post('/create/talks', { name: 'x' }),
    () => node.api.post('/run/noop', {}),
    () => node.api.post('/create/noop/batch', [{}]),
    () => node.api.post('/status_info', { fields: ['worker_status', 'task_info'] }),
    () => node.api.get('/ready'),
  ];
  await Promise.all(
    calls.map(async (call) => {
      const began = performance.now();
      const { status, headers, body } = await call();
      expect([status, headers['retry-after'] !== undefined, JSON.stringify(body).includes('stack')]).toEqual([503, true, false]);
      expect(performance.now() - began).toBeLessThan(2000);
    }),
  );
  expect((await node.api.get('/health')).status).toBe(200);
  expect((await node.api.get(`/check/${id}`)).status).toBe(200);
}

async function expectRecovery() {
  await until(async () => (await node.api.get('/ready')).status === 200, { what: 'the API to be ready again', timeoutMs: 10_000 });
  expect(jobOf(await node.api.post('/run/noop', {})).state).toBe('SUCCESS');
  expect(jobOf(await node.api.post('/run/talks', { name: 'x' })).state).toBe('SUCCESS');
  expect(node.process.alive && consumer.alive).toBe(true);
}

test('a Redis that does not answer gives 503 within 2 s, and all is well when it does again', async () => {
  node.redis.pause();
  await expectUnavailable();
  node.redis.resume();
  await expectRecovery();
});

test('a Redis that was killed gives 503 within 2 s, and all is well when it is back', async () => {
  await node.redis.kill9();
  await expectUnavailable();
  await expectUnavailable();
  await node.redis.restart();
  await expectRecovery();
  expect(node.process.output.filter((line) => line.includes('MaxListeners'))).toEqual([]);
}, 60_000);

test('a /run that waits outlives a Redis that is away for a moment', async () => {
  const waiting = node.api.post('/run/wait', { seconds: 4 });
  await until(async () => (await node.api.post('/status_info', { fields: ['task_info'] })).status === 200, { what: 'status' });
  await new Promise((resolve) => setTimeout(resolve, 700));
  await node.redis.kill9();
  await node.redis.restart();
  expect(jobOf(await waiting)).toMatchObject({ state: 'SUCCESS', result: { waited: true } });
}, 60_000);

test('the API listens while Redis is late, and serves as soon as it comes', async () => {
  await node.redis.stop();
  const { api, process } = await node.anotherApi({});
  expect((await api.get('/health')).status).toBe(200);
  const ready = await api.get('/ready');
  expect([ready.status, ready.headers['retry-after'], JSON.stringify(ready.body)]).toEqual([
    503,
    '1',
    expect.stringContaining('no connection to Redis'),
  ]);
  for (const answer of [await api.post('/run/noop', {}), await api.get('/check/x'), await api.post('/revoke', { result_id: 'x' })])
    expect(answer.status).toBe(503);
  await node.redis.restart();
  await until(async () => (await api.get('/ready')).status === 200, { what: 'the API to be ready', timeoutMs: 10_000 });
  expect((await api.post('/create/noop', {})).status).toBe(200);
  await process.stop();
}, 60_000);

test('what waits is answered with 202 when the process stops, and it stops quickly', async () => {
  const { api, process } = await node.anotherApi({});
  await until(async () => (await api.get('/ready')).status === 200, { what: 'the API to be ready', timeoutMs: 10_000 });
  const waiting = api.post('/run/wait', { seconds: 10 });
  await until(async () => (await api.get('/health')).status === 200, { what: 'an answer' });
  await new Promise((resolve) => setTimeout(resolve, 500));
  const began = performance.now();
  const exit = process.stop();
  const answer = await waiting;
  expect([answer.status, answer.headers['connection'], jobOf(answer).result]).toEqual([202, 'close', '']);
  expect(performance.now() - began).toBeLessThan(1000);
  expect(await exit).toEqual({ code: 0, signal: null });
  expect(performance.now() - began).toBeLessThan(4000);
  expect((await node.api.post('/revoke', { result_id: jobOf(answer).id })).body).toMatchObject({ status: 'SUCCESS' });
});

test('a taken port, a missing certificate and a bad variable are one clear line each and exit code 1', async () => {
  const start = async (env: Record<string, string>) => {
    const process = await startService('api', { ...node.env, API_PORT: String(await freePort()), ...env });
    const { code } = await process.exited;
    return { code, lines: process.output.filter((line) => !line.startsWith('{')) };
  };
  expect(await start({ API_PORT: String(node.port) })).toEqual({
    code: 1,
    lines: [expect.stringContaining(`127.0.0.1:${node.port}: another program does`)],
  });
  expect(await start({ FILES_DIR: tempDir('none') })).toEqual({ code: 1, lines: [expect.stringMatching(/needs a key in .*key\.pem/)] });
  const bad = await start({ API_PORT: '99999', LOG_LEVEL: 'loud' });
  expect(bad.code).toBe(1);
  expect(bad.lines.join('\n')).toMatch(/2 fault\(s\)[\s\S]*API_PORT=99999[\s\S]*LOG_LEVEL=loud/);
});

test('a task whose schema cannot be compiled is a 500 with an id, and harms no other', async () => {
  const { publishTask } = await import('../../shared/registry.ts');
  const redis = node.redis.connect();
  await publishTask(redis, 'fasttask', { name: 'odd', description: 'x', params: { type: 'nmber' }, result: {}, digest: 'odd' }, 60);
  redis.disconnect();
  const answer = await until(
    async () => {
      const tried = await node.api.post('/create/odd', {});
      return tried.status === 404 ? undefined : tried;
    },
    { what: 'the task to be known' },
  );
  expect(answer).toMatchObject({ status: 500, body: { detail: 'Internal Server Error', request_id: answer.headers['x-request-id'] } });
  await node.process.waitForEvent('schema.invalid', { where: ({ requestId }) => requestId === answer.headers['x-request-id'] });
  expect((await node.api.post('/create/noop', {})).status).toBe(200);
  expect((await node.api.get('/openapi.json')).status).toBe(200);
});

test('new connections are served while processes come and go', async () => {
  // Without PM2 two processes cannot share a port: what is shown here is that one which stops takes all that has arrived.
  const { api, process, port } = await node.anotherApi({});
  await until(async () => (await api.get('/ready')).status === 200, { what: 'the API to be ready', timeoutMs: 10_000 });
  const jobs = async () => {
    const { body } = await node.api.post('/status_info', { fields: ['task_info'] });
    const { status_to_amount: amounts } = (body as { task_info_wait: { status_to_amount: Record<string, number> } }).task_info_wait;
    return Object.values(amounts).reduce((sum, amount) => sum + amount, 0);
  };
  const before = await jobs();
  const clients = Array.from({ length: 10 }, () => apiClient(`https://127.0.0.1:${port}`));
  const answers = Promise.all(clients.map((client) => client.post('/run/wait', { seconds: 1 })));
  await until(async () => (await jobs()) === before + 10, { what: 'all requests to have arrived' });
  const exit = process.stop();
  expect((await answers).map(({ status }) => status).every((status) => status === 200 || status === 202)).toBe(true);
  expect((await exit).code).toBe(0);
});
