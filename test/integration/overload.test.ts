import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TLSSocket, connect as tlsConnect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { mastersOf } from '../../shared/redis.ts';
import { apiClient, jobOf } from '../support/https.ts';
import { until } from '../support/until.ts';
import { type ApiNode, startApiNode } from './api-node.ts';

let node: ApiNode;

beforeAll(async () => {
  node = await startApiNode({ UVICORN_WORKERS: '1' });
});
afterAll(() => node.stop());

const errorOf = ({ status, headers }: { status: number; headers: Readonly<Record<string, unknown>> }) => [
  status,
  headers['fasttask-error'],
];

describe('bodies that are made to cost much', () => {
  beforeAll(async () => {
    const consumer = await node.startConsumer();
    await consumer.stop();
  });

  test('a text that keeps a task author’s pattern busy is refused, and the others are served soon', async () => {
    const began = performance.now();
    const bad = node.api.post('/create/redos', { word: `${'a'.repeat(60)}!` });
    const other = node.api.get('/health');
    expect((await other).status).toBe(200);
    const otherMs = performance.now() - began;
    const answer = await bad;
    expect(answer.status).toBe(422);
    expect(JSON.stringify(answer.body)).toContain('more than 300 ms');
    expect(otherMs).toBeLessThan(5000);
    expect((await node.api.post('/create/redos', { word: 'aaa' })).status).toBe(200);
    const batch = await node.api.post(
      '/create/redos/batch',
      Array.from({ length: 1000 }, () => ({ word: `${'a'.repeat(60)}!` })),
    );
    expect(batch.status).toBe(422);
  });

  test('a union that contains itself, tried in two ways at each of thirty levels', async () => {
    let root: unknown = { op: 'leaf', v: 'x' };
    for (let level = 0; level < 29; level += 1) root = { op: 'and', args: [root] };
    const answer = await node.api.post('/create/tree', { root });
    expect(answer.status).toBe(422);
    expect(JSON.stringify(answer.body)).toContain('against the schema');
    expect((await node.api.post('/create/tree', { root: { op: 'and', args: [{ op: 'leaf', v: 1 }] } })).status).toBe(200);
  });

  test('more problems in a union than a call can have arguments, and a long name that is told with each problem', async () => {
    expect((await node.api.post('/create/tree', { list: Array(80_000).fill('') })).status).toBe(422);
    const answer = await node.api.post('/create/tree', { lists: { ['n'.repeat(200_000)]: Array(10_000).fill('x') } });
    expect(answer.status).toBe(422);
    expect(JSON.stringify(answer.body).length).toBeLessThan(1_000_000);
  });

  test('a million values, and keys that must be removed from many', async () => {
    expect(errorOf(await node.api.post('/create/noop', `[${'{},'.repeat(1_000_001)}0]`))).toEqual([413, 'body_too_large']);
    const began = performance.now();
    expect((await node.api.post('/create/noop', `{"\\u005f_proto__":1,"a":[${'{},'.repeat(900_000)}0]}`)).status).toBe(200);
    expect(performance.now() - began).toBeLessThan(10_000);
  });

  test('objects of too many members', async () => {
    const many = `{${Array.from({ length: 100_001 }, (_, index) => `"k${index}":0`).join()}}`;
    expect(errorOf(await node.api.post('/create/noop', many))).toEqual([413, 'body_too_large']);
  });

  test('an answer is not a hundred times its request: of many problems a thousand are told', async () => {
    const batch = JSON.stringify(Array.from({ length: 9999 }, () => 1));
    const answer = await node.api.post('/create/get_circle_area/batch', batch);
    expect(answer.status).toBe(422);
    const { detail } = answer.body as { detail: { loc: unknown; msg: string }[] };
    expect(detail).toHaveLength(1001);
    expect(detail.at(-1)).toMatchObject({ loc: ['body'], msg: expect.stringContaining('first 1000') });
  });
});

describe('queues that are full', () => {
  test('a task with maxWaiting refuses further jobs with 429, and takes them again when there is room', async () => {
    const create = () => node.api.post('/create/crowded', {});
    for (let count = 0; count < 3; count += 1) expect((await create()).status).toBe(200);
    const full = await create();
    expect(errorOf(full)).toEqual([429, 'queue_full']);
    expect(full.headers['retry-after']).toBe('1');
    expect(full.body).toEqual({ detail: '3 jobs of crowded are waiting, and 3 may' });
    expect(errorOf(await node.api.post('/run/crowded', {}))).toEqual([429, 'queue_full']);
    expect(errorOf(await node.api.post('/create/crowded/batch', [{}, {}]))).toEqual([429, 'queue_full']);
    const consumer = await node.startConsumer();
    await until(async () => (await create()).status === 200, { what: 'room in the queue' });
    await consumer.stop();
  });

  test('Redis at its maxmemory: 503 with retry-after, and nothing of a batch is in the queue', async () => {
    const waiting = async () =>
      (await node.api.post('/status_info', { fields: ['pending_task_count'] })).body as { pending_task_count: Record<string, number> };
    const before = (await waiting()).pending_task_count['noop'];
    await node.redis.onMasters((server) => server.config('SET', 'maxmemory', '1mb'));
    for (const [path, body] of [
      ['/create/noop', {}],
      ['/run/noop', {}],
      ['/create/noop/batch', Array.from({ length: 500 }, () => ({}))],
    ] as const) {
      const answer = await node.api.post(path, body);
      expect([path, ...errorOf(answer), answer.headers['retry-after']]).toEqual([path, 503, 'redis_unavailable', '1']);
    }
    expect((await waiting()).pending_task_count['noop']).toBe(before);
    await node.redis.onMasters((server) => server.config('SET', 'maxmemory', '0'));
    expect((await node.api.post('/create/noop', {})).status).toBe(200);
  });
});

describe('API_RATE_LIMIT', () => {
  test('counts for all API processes together, for each address by itself, and says when to come again', async () => {
    const [one, two] = [await node.anotherApi({ API_RATE_LIMIT: '6' }), await node.anotherApi({ API_RATE_LIMIT: '6' })];
    for (const { api } of [one, two]) await until(async () => (await api.get('/ready')).status === 200, { what: 'the API to be ready' });
    const statuses: number[] = [];
    for (let turn = 0; turn < 4; turn += 1) for (const { api } of [one, two]) statuses.push((await api.get('/openapi.json')).status);
    expect(statuses).toEqual([200, 200, 200, 200, 200, 200, 429, 429]);
    const refused = await one.api.get('/openapi.json');
    expect(errorOf(refused)).toEqual([429, 'rate_limited']);
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    expect(Number(refused.headers['retry-after'])).toBeLessThanOrEqual(60);
    expect((await one.api.get('/health')).status).toBe(200);
    const elsewhere = apiClient(one.api.origin, '127.0.0.2');
    expect((await elsewhere.get('/openapi.json')).status).toBe(200);
    await one.process.stop();
    await two.process.stop();
  });
});

test('500 half-open connections do not slow down the others, and are cut', async () => {
  const alone = await p99();
  const halfOpen = await Promise.all(Array.from({ length: 500 }, (_, index) => openHalf(node.port, index)));
  try {
    // On a machine that is busy itself, three times what it was without them.
    expect(await p99()).toBeLessThan(Math.max(50, 3 * alone));
    await until(() => halfOpen.every(({ closed }) => closed), { what: 'half-open connections to be cut', timeoutMs: 30_000, everyMs: 500 });
  } finally {
    for (const socket of halfOpen) socket.destroy();
  }
});

/** Milliseconds within which 99 of 100 requests are answered. */
async function p99(): Promise<number> {
  const times: number[] = [];
  for (let count = 0; count < 300; count += 1) {
    const began = performance.now();
    expect((await node.api.get('/health')).status).toBe(200);
    times.push(performance.now() - began);
  }
  return times.sort((a, b) => a - b)[Math.floor(times.length * 0.99)] ?? Number.NaN;
}

/** A connection whose request never ends: half of them within the headers, half with a header now and then. */
function openHalf(port: number, index: number): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = tlsConnect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
      socket.write('POST /create/noop HTTP/1.1\r\nhost: x\r\n');
      if (index % 2 === 0) {
        const drip = setInterval(() => socket.write(`x-drip-${Date.now()}: 1\r\n`), 2000);
        socket.once('close', () => clearInterval(drip));
      }
      resolve(socket);
    });
    socket.on('error', reject);
    socket.on('error', () => {});
    socket.resume();
  });
}

describe('one connection', () => {
  test('may send some requests ahead of their answers, and is closed when they are too many', async () => {
    const answers = async (count: number) => {
      const socket = await openTls(node.port);
      let text = '';
      socket.on('data', (chunk: Buffer) => {
        text += chunk.toString('latin1');
      });
      socket.write('GET /openapi.json HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n'.repeat(count));
      const got = () => text.split('HTTP/1.1 200').length - 1;
      await until(() => got() === count || socket.closed, { what: 'the answers or the end' });
      socket.destroy();
      return got() === count;
    };
    expect(await answers(30)).toBe(true);
    expect(await answers(400)).toBe(false);
  });

  test('has nothing done for what it sends beyond that, and the audit log knows from where the rest came', async () => {
    const audited = (requestId: string) => {
      const lines = readFileSync(join(node.files, 'fasttask/log/audit.log'), 'utf8').split('\n');
      return lines.filter((line) => line.includes(`"requestId":"${requestId}"`)).map((line) => JSON.parse(line) as Record<string, unknown>);
    };
    const socket = await openTls(node.port);
    const head = 'host: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 2\r\nx-request-id: ahead';
    socket.write(`POST /create/noop HTTP/1.1\r\n${head}\r\n\r\n{}`.repeat(40));
    await until(() => socket.closed, { what: 'the end of the connection' });
    expect((await node.api.post('/create/noop', {}, { headers: { 'x-request-id': 'after' } })).status).toBe(200);
    await until(() => audited('after').length === 1, { what: 'the audit log' });
    const done = audited('ahead').map(({ event, address }) => `${event} from ${address}`);
    expect(new Set(done)).toEqual(new Set(['job.created from 127.0.0.1']));
    expect(done.length).toBeLessThanOrEqual(32);
  });

  test('ends the waits that it has begun', async () => {
    const { id } = jobOf(await node.api.post('/create/noop', {}));
    const redis = node.redis.connect();
    const commandsOf = async (server: ReturnType<typeof mastersOf>[number]) =>
      Number(/total_commands_processed:(\d+)/.exec(await server.info('stats'))?.[1]);
    await redis.ping();
    const commands = async () => (await Promise.all(mastersOf(redis).map(commandsOf))).reduce((sum, count) => sum + count);
    const socket = await openTls(node.port);
    socket.write(`GET /check/${id} HTTP/1.1\r\nhost: 127.0.0.1\r\nprefer: wait=600\r\n\r\n`.repeat(30));
    await until(
      async () => {
        const before = await commands();
        return (await new Promise<number>((resolve) => setTimeout(() => resolve(commands()), 1000))) - before > 40;
      },
      { what: 'the waits to begin', timeoutMs: 20_000 },
    );
    socket.destroy();
    await until(
      async () => {
        const before = await commands();
        return (await new Promise<number>((resolve) => setTimeout(() => resolve(commands()), 1000))) - before < 40;
      },
      { what: 'the waits to end', timeoutMs: 20_000 },
    );
    redis.disconnect();
  });
});

function openTls(port: number): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = tlsConnect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => resolve(socket));
    socket.on('error', reject);
  });
}

test('the API lives on after all of it', async () => {
  expect(node.process.alive).toBe(true);
  expect(jobOf(await node.api.post('/create/noop', {})).state).toBe('PENDING');
});
