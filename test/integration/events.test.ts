import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, get, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createApp } from '../../services/api/app.ts';
import { Backend } from '../../services/api/backend.ts';
import { loadConfig } from '../../shared/config.ts';
import { createLogger } from '../../shared/logger.ts';
import { openEvents, parseEvents } from '../support/events.ts';
import { jobOf } from '../support/https.ts';
import { until } from '../support/until.ts';
import { type ApiNode, startApiNode } from './api-node.ts';

/** Fails once, then gives the number of its try. */
const SECOND_TRY = `import { defineTask, z } from 'fasttask';

export default defineTask({
  description: 'Fails at first.',
  retries: 1,
  backoff: { type: 'fixed', delaySeconds: 0.2 },
  params: z.object({}),
  result: z.int(),
  run(_, { attempt }) {
    if (attempt < 2) throw new Error('not yet');
    return attempt;
  },
});
`;

/** The length of the result of `misbehave` in this way. */
const LARGE = 2_000_000;

let node: ApiNode;

beforeAll(async () => {
  node = await startApiNode();
  writeFileSync(join(node.files, 'tasks', 'second_try.ts'), SECOND_TRY);
  await node.startConsumer();
});
afterAll(() => node.stop());

const create = async (task: string, params: unknown = {}) => jobOf(await node.api.post(`/create/${task}`, params)).id;
const wait = (id: string, seconds = 60) => node.api.get(`/check/${id}`, { headers: { prefer: `wait=${seconds}` }, timeoutMs: 60_000 });
const listen = (ids: readonly string[]) => openEvents(node.api.origin, `/events?ids=${ids.join(',')}`);
const done = { event: 'done', id: 'done', data: {} };
const end = (id: string, state: string, result: unknown) => ({ event: 'end', id, data: { id, state, result } });

/** An id like those that are given, of a job that there never was. */
const unknownLike = (id: string) => id.replace(/.$/, (last) => (last === '0' ? '1' : '0'));

describe('a check that waits', () => {
  test('is answered as soon as its job ends', async () => {
    const [short, long] = [await create('wait', { seconds: 0.5 }), await create('wait', { seconds: 4 })];
    const answer = await wait(short);
    expect([jobOf(answer).state, answer.headers['preference-applied']]).toEqual(['SUCCESS', 'wait=60']);
    // Not told, the end would have been found by the next reading, after 10 s.
    expect(jobOf(await node.api.get(`/check/${long}`)).state).toBe('STARTED');
    await node.api.post('/revoke', { result_id: long });
  });

  test('is answered by a revoke, of a running job and of one that waits', async () => {
    const running = [await create('wait', { seconds: 60 }), await create('wait', { seconds: 60 })];
    for (const id of running) await node.reaches(id, 'STARTED');
    const waiting = await create('wait', { seconds: 60 });
    const answers = [waiting, ...running].map((id) => wait(id));
    for (const id of [waiting, ...running]) await node.api.post('/revoke', { result_id: id });
    expect((await Promise.all(answers)).map((answer) => jobOf(answer).result)).toEqual(['revoked', 'terminated', 'terminated']);
  });

  test('is not answered by a try that is not the last', async () => {
    expect(jobOf(await wait(await create('second_try')))).toMatchObject({ state: 'SUCCESS', result: 2 });
  });

  test('gives a result that is too long for a message', async () => {
    expect(jobOf(await wait(await create('misbehave', { way: 'large' }))).result).toHaveLength(LARGE);
  });

  test('is answered with the state when the time is up, and at once where there is nothing to wait for', async () => {
    const id = await create('wait', { seconds: 60 });
    await node.reaches(id, 'STARTED');
    for (const seconds of [0, 1]) expect(jobOf(await wait(id, seconds)).state).toBe('STARTED');
    expect((await wait(unknownLike(id))).status).toBe(404);
    await node.api.post('/revoke', { result_id: id });
    expect(jobOf(await wait(id)).state).toBe('REVOKED');
  });
});

describe('/events', () => {
  test('tells what has ended at once, the rest at its end, each once, and then that this is all', async () => {
    const ended = jobOf(await node.api.post('/run/get_circle_area', { radius: 1 })).id;
    const [short, long] = [await create('wait', { seconds: 1 }), await create('wait', { seconds: 60 })];
    const none = unknownLike(ended);
    const crooked = 'x\nevent: end\n\n';
    const client = await listen([ended, long, short, none, encodeURIComponent(crooked), ended]);
    expect([client.status, client.headers['content-type'], client.headers['x-accel-buffering'], client.headers['cache-control']]).toEqual([
      200,
      'text/event-stream; charset=utf-8',
      'no',
      'no-store',
    ]);
    const detail = expect.stringContaining('no job with result_id=');
    const first = [
      end(ended, 'SUCCESS', { area: Math.PI }),
      { event: 'unknown', data: { id: none, detail } },
      { event: 'unknown', data: { id: crooked, detail } },
    ];
    expect((await client.come(3)).slice(0, 3)).toEqual(first);
    expect(await client.come(4)).toEqual([...first, end(short, 'SUCCESS', { waited: true })]);
    await node.api.post('/revoke', { result_id: long });
    expect(await client.come(6)).toEqual([...first, end(short, 'SUCCESS', { waited: true }), end(long, 'REVOKED', 'terminated'), done]);
    await until(() => client.ended, { what: 'the stream to end' });
  });

  test('tells a failure once, after its last try', async () => {
    const [tried, failed] = [await create('second_try'), await create('misbehave', { way: 'throw' })];
    const events = parseEvents(String((await node.api.get(`/events?ids=${tried}&ids=${failed}`)).body));
    expect(events).toHaveLength(3);
    expect(events).toContainEqual(end(tried, 'SUCCESS', 2));
    expect(events).toContainEqual(end(failed, 'FAILURE', expect.stringContaining('the order is empty')));
    expect(events.at(-1)).toEqual(done);
  });

  test('a browser that comes again after all was told is sent away for good', async () => {
    const { id } = jobOf(await node.api.post('/run/noop', {}));
    const again = await node.api.get(`/events?ids=${id}`, { headers: { 'last-event-id': done.id } });
    expect([again.status, again.body]).toEqual([204, '']);
    // After anything else ends are told again: which ones have arrived is not known.
    const after = await node.api.get(`/events?ids=${id}`, { headers: { 'last-event-id': id } });
    expect(parseEvents(String(after.body)).map(({ event }) => event)).toEqual(['end', 'done']);
  });

  test('takes a thousand ids in a body', async () => {
    const ids = ((await node.api.post('/create/noop/batch', Array(1000).fill({}))).body as { ids: string[] }).ids;
    const events = parseEvents(String((await node.api.post('/events', { ids })).body));
    expect(events.slice(0, -1).every(({ event }) => event === 'end')).toBe(true);
    expect(new Set(events.slice(0, -1).map(({ id }) => id))).toEqual(new Set(ids));
    expect(events).toHaveLength(1001);
  });

  test('refuses what is no list of ids, in the form of the contract', async () => {
    const issuesOf = async (answer: Promise<{ status: number; body: unknown }>) => {
      const { status, body } = await answer;
      return [status, (body as { detail: { type: string; loc: unknown[] }[] }).detail.map(({ type, loc }) => [type, ...loc])];
    };
    const { api } = node;
    expect(await issuesOf(api.get('/events'))).toEqual([422, [['missing', 'query', 'ids']]]);
    expect(await issuesOf(api.get('/events?ids=a,,b'))).toEqual([422, [['string_too_short', 'query', 'ids', 1]]]);
    expect(await issuesOf(api.get(`/events?ids=${'x'.repeat(201)}`))).toEqual([422, [['string_too_long', 'query', 'ids', 0]]]);
    expect(await issuesOf(api.get(`/events?ids=${'x,'.repeat(1000)}x`))).toEqual([422, [['too_long', 'query', 'ids']]]);
    expect(await issuesOf(api.post('/events', { ids: [] }))).toEqual([422, [['too_short', 'body', 'ids']]]);
    expect(await issuesOf(api.post('/events', { ids: [1] }))).toEqual([422, [['string_type', 'body', 'ids', 0]]]);
    expect(await issuesOf(api.post('/events'))).toEqual([422, [['missing', 'body']]]);
    expect((await api.send('DELETE', '/events')).headers['allow']).toBe('GET, POST');
  });

  test('is left out with /check', async () => {
    const { api, process } = await node.anotherApi({ API_CHECK: 'False' });
    await until(async () => (await api.get('/ready')).status === 200, { what: 'the API to be ready' });
    expect((await api.get('/events?ids=x')).status).toBe(404);
    expect((await api.get('/openapi.json')).body).not.toHaveProperty(['paths', '/events']);
    expect((await node.api.get('/openapi.json')).body).toHaveProperty(['paths', '/events']);
    await process.stop();
  });

  test('a process that stops ends its streams, without saying that this was all', async () => {
    const { api, process } = await node.anotherApi({});
    await until(async () => (await api.get('/ready')).status === 200, { what: 'the API to be ready' });
    const [ended, id] = [jobOf(await node.api.post('/run/noop', {})).id, await create('wait', { seconds: 60 })];
    const client = await openEvents(api.origin, `/events?ids=${ended},${id}`);
    await client.come(1);
    const exit = process.stop();
    await until(() => client.ended, { what: 'the stream to end' });
    expect(client.events).toEqual([end(ended, 'SUCCESS', null)]);
    expect(await exit).toEqual({ code: 0, signal: null });
    await node.api.post('/revoke', { result_id: id });
  });
});

/** The application in this process, so that what it holds can be looked at. */
describe('what a client that waits holds', () => {
  let backend: Backend;
  let server: Server;
  let origin: string;
  const answers: ServerResponse[] = [];
  /** Of the last request. One with the header x-late is only looked at when its client has gone. */
  let answered: Promise<void>;

  beforeAll(async () => {
    const log = createLogger('silent', { service: 'test' });
    backend = new Backend(loadConfig(node.env), log);
    const answer = createApp(backend, log).callback();
    server = createServer((request, response) => {
      answers.push(response);
      const begun = request.headers['x-late'] === undefined ? Promise.resolve() : once(request.socket, 'close');
      answered = begun.then(() => answer(request, response));
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    backend.start();
    await until(async () => (await backend.notReady()) === undefined, { what: 'the API to be ready' });
  });
  afterAll(async () => {
    backend.stop();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  test('is free when it hangs up', async () => {
    const ids = await Promise.all([1, 2, 3].map(() => create('wait', { seconds: 60 })));
    const [first = ''] = ids;
    const asked = [`/events?ids=${ids.join(',')}`, `/events?ids=${first}`, `/check/${first}`, `/check/${ids[1]}`].map((path) =>
      get(new URL(path, origin), { agent: false, headers: { prefer: 'wait=60' } }).on('error', () => {}),
    );
    await until(() => backend.ends.size === 3 && backend.waiters.size === asked.length, { what: 'all clients to wait' });
    asked[0]?.destroy();
    await until(() => backend.ends.size === 2, { what: 'the job that nobody else waits for to be dropped' });
    for (const one of asked) one.destroy();
    await until(() => backend.ends.size + backend.waiters.size === 0, { what: 'nothing to be kept' });
    for (const id of ids) await node.api.post('/revoke', { result_id: id });
  });

  test('is forgotten when it has gone before its stream begins', async () => {
    const id = await create('wait', { seconds: 60 });
    const gone = get(`${origin}/events?ids=${id}`, { agent: false, headers: { 'x-late': '1' } }).on('error', () => {});
    await once(server, 'request');
    gone.destroy();
    await answered;
    expect(backend.ends.size + backend.waiters.size).toBe(0);
    await node.api.post('/revoke', { result_id: id });
  });

  test('is bounded when it does not read, and it misses nothing', async () => {
    const ids = await Promise.all(Array.from({ length: 16 }, () => create('misbehave', { way: 'large' })));
    await Promise.all(ids.slice(0, -2).map((id) => wait(id)));
    const slow = await new Promise<IncomingMessage>((resolve) => get(`${origin}/events?ids=${ids.join(',')}`, { agent: false }, resolve));
    slow.pause();
    const response = answers.at(-1);
    await until(() => (response?.writableLength ?? 0) > LARGE / 2, { what: 'the stream to be full' });
    await Promise.all(ids.map((id) => wait(id)));
    expect(response?.writableLength).toBeLessThan(2 * LARGE);
    let text = '';
    slow.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    slow.resume();
    await once(slow, 'end');
    const events = parseEvents(text);
    expect(new Set(events.map(({ id }) => id))).toEqual(new Set([...ids, done.id]));
    expect(events).toHaveLength(ids.length + 1);
    expect(backend.ends.size + backend.waiters.size).toBe(0);
  });

  test('is not taken in while Redis is away', async () => {
    const id = await create('wait', { seconds: 60 });
    node.redis.pause();
    const answer = await new Promise<IncomingMessage>((resolve) => get(`${origin}/events?ids=${id}`, { agent: false }, resolve));
    node.redis.resume();
    expect([answer.statusCode, answer.headers['content-type'], answer.headers['retry-after']]).toEqual([503, 'application/json', '1']);
    answer.destroy();
    await until(() => backend.ends.size + backend.waiters.size === 0, { what: 'nothing to be kept' });
    await until(async () => (await node.api.post('/revoke', { result_id: id })).status === 200, { what: 'Redis to be back' });
  });
});
