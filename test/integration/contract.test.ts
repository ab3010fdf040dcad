/**
 * The HTTP contract, line by line, as clients of the older Python FastTask speak it: a new connection for each call, empty Basic credentials, and
 * bodies without a content type.
 */
import { request } from 'node:https';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { multipartBody } from '../support/multipart.ts';
import { until } from '../support/until.ts';
import { type ApiNode, startApiNode } from './api-node.ts';

let node: ApiNode;
let rid: string;

beforeAll(async () => {
  node = await startApiNode();
  await node.startConsumer();
  rid = String(Object((await call('POST', '/status_info', '{}')).body).running_id);
});
afterAll(() => node.stop());

interface Reply {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: unknown;
}

/** One call on a connection of its own, with the headers of Python's requests. */
function call(method: string, path: string, body?: string | Buffer, more: Record<string, string> = {}): Promise<Reply> {
  const headers: Record<string, string | number> = {
    'user-agent': 'python-requests/2.32.3',
    'accept-encoding': 'gzip, deflate',
    accept: '*/*',
    authorization: 'Basic Og==',
    ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }),
    ...more,
  };
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port: node.port, method, path, headers, agent: false, rejectUnauthorized: false };
    request(options, (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        const isJson = text !== '' && String(answer.headers['content-type']).startsWith('application/json');
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: isJson ? JSON.parse(text) : text });
      });
    })
      .on('error', reject)
      .end(body);
  });
}

const post = (path: string, body: unknown, more: Record<string, string> = {}) => call('POST', path, JSON.stringify(body), more);
const get = (path: string, more: Record<string, string> = {}) => call('GET', path, undefined, more);
const idOf = ({ body }: Reply) => String(Object(body).id);
const checkUntil = (id: string, ...states: string[]) =>
  until(
    async () => {
      const { body } = await get(`/check/${id}`);
      return states.includes(String(Object(body).state)) ? body : undefined;
    },
    { what: `${id} to be ${states.join(' or ')}` },
  );
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const strangerId = () => `${rid}-noop-0199d4a5-7c1e-7a30-8f52-3a0c6f1f9b7e`;

describe('common', () => {
  const exact: [line: string, method: string, path: string, body: string | undefined, status: number, answer: unknown][] = [
    ['an unknown path', 'GET', '/nowhere', undefined, 404, { detail: 'Not Found' }],
    ['an unknown task, before its body is read', 'POST', '/run/ghost', '{broken', 404, { detail: 'Not Found' }],
    ['a wrong method', 'GET', '/run/noop', undefined, 405, { detail: 'Method Not Allowed' }],
    ['a method that no route knows', 'PROPFIND', '/health', undefined, 405, { detail: 'Method Not Allowed' }],
    [
      'no body',
      'POST',
      '/create/noop',
      undefined,
      422,
      { detail: [{ type: 'missing', loc: ['body'], msg: 'Field required', input: null }] },
    ],
    [
      'null is no body',
      'POST',
      '/create/noop',
      'null',
      422,
      { detail: [{ type: 'missing', loc: ['body'], msg: 'Field required', input: null }] },
    ],
    [
      'broken JSON, with its position',
      'POST',
      '/create/noop',
      '{"a": 1,',
      422,
      {
        detail: [
          {
            type: 'json_invalid',
            loc: ['body', 8],
            msg: 'JSON decode error',
            input: {},
            ctx: { error: 'Expecting property name enclosed in double quotes' },
          },
        ],
      },
    ],
    [
      'a missing field',
      'POST',
      '/run/get_circle_area',
      '{}',
      422,
      { detail: [{ type: 'missing', loc: ['body', 'radius'], msg: 'Field required', input: {} }] },
    ],
    [
      'numeric text is no number',
      'POST',
      '/run/get_circle_area',
      '{"radius":"5"}',
      422,
      { detail: [{ type: 'float_type', loc: ['body', 'radius'], msg: 'Input should be a valid number', input: '5' }] },
    ],
    [
      'a number out of range',
      'POST',
      '/run/get_circle_area',
      '{"radius":-1}',
      422,
      { detail: [{ type: 'greater_than', loc: ['body', 'radius'], msg: 'Input should be greater than 0', input: -1, ctx: { gt: 0 } }] },
    ],
    ['deep nesting', 'POST', '/create/noop', '['.repeat(100_000), 400, { detail: 'There was an error parsing the body' }],
    [
      'an id that is not there',
      'GET',
      '/check/noop',
      undefined,
      422,
      { detail: [{ type: 'missing', loc: ['query', 'result_id'], msg: 'Field required', input: null }] },
    ],
    [
      'a revoke without an id',
      'POST',
      '/revoke',
      '{}',
      422,
      { detail: [{ type: 'missing', loc: ['body', 'result_id'], msg: 'Field required', input: {} }] },
    ],
    [
      'an unknown field of /status_info',
      'POST',
      '/status_info',
      '{"fields":["task_infos"]}',
      422,
      {
        detail: [
          {
            type: 'literal_error',
            loc: ['body', 'fields', 0],
            msg: "Input should be 'worker_status', 'task_info' or 'pending_task_count'",
            input: 'task_infos',
            ctx: { expected: "'worker_status', 'task_info' or 'pending_task_count'" },
          },
        ],
      },
    ],
    [
      'a key of concurrency params that is missing',
      'POST',
      '/create/noop',
      '{"fasttask_concurrency_params":{}}',
      422,
      { detail: [{ type: 'missing', loc: ['body', 'fasttask_concurrency_params', 'concurrency_key'], msg: 'Field required', input: {} }] },
    ],
  ];
  test.each(exact)('%s', async (_, method, path, body, status, answer) => {
    const reply = await call(method, path, body);
    expect(reply).toMatchObject({ status, body: answer });
    expect(reply.headers['content-type']).toBe('application/json');
    expect(reply.headers['x-request-id']).toMatch(uuid);
    if (status === 405) expect(String(reply.headers['allow'])).toMatch(/^(GET|POST)/);
  });

  test('bytes that are not UTF-8 are 400, a body over the limit 413, headers over the limit 431', async () => {
    expect(await call('POST', '/create/noop', Buffer.from([0x7b, 0xff, 0x7d]))).toMatchObject({ status: 400 });
    expect(await call('POST', '/create/noop', ' '.repeat(10 * 1024 ** 2 + 1))).toMatchObject({ status: 413 });
    expect(await call('GET', '/health', undefined, { 'x-long': 'x'.repeat(20_000) })).toMatchObject({ status: 431 });
  });

  test('a body is read as JSON whatever its content type says, an integer-valued float passes, unknown fields are ignored', async () => {
    for (const type of [
      undefined,
      'text/plain',
      'application/x-www-form-urlencoded',
      'application/json; charset=utf-8',
      'application/vnd.x+json',
    ]) {
      const reply = await call(
        'POST',
        '/run/get_circle_area',
        '{"radius":1.0,"more":true}',
        type === undefined ? {} : { 'content-type': type },
      );
      expect(reply, String(type)).toMatchObject({ status: 200, body: { state: 'SUCCESS', result: { area: Math.PI } } });
    }
    expect(await call('POST', '/create/noop', 'a=1', { 'content-type': 'application/x-www-form-urlencoded' })).toMatchObject({
      status: 422,
    });
  });

  test('the input of a problem is cut at 1 KB', async () => {
    const { body } = await post('/run/get_circle_area', { radius: 'x'.repeat(5000) });
    expect(String(Object(body).detail[0].input).length).toBeLessThanOrEqual(1025);
  });
});

describe('jobs', () => {
  test('/run answers with the end of the job, /create with a job that waits, /check with both', async () => {
    const ran = await post('/run/get_circle_area', { radius: 5 });
    expect(ran).toMatchObject({
      status: 200,
      body: { id: expect.stringMatching(`^${rid}-get_circle_area-`), state: 'SUCCESS', result: { area: 78.53981633974483 } },
    });
    const created = await post('/create/get_circle_area', { radius: 5 });
    expect(created).toMatchObject({
      status: 200,
      body: { id: expect.stringMatching(`^${rid}-get_circle_area-`), state: 'PENDING', result: '' },
    });
    const done = { id: idOf(created), state: 'SUCCESS', result: { area: 78.53981633974483 } };
    expect(await checkUntil(idOf(created), 'SUCCESS')).toEqual(done);
    expect((await get(`/check/get_circle_area?result_id=${idOf(created)}`)).body).toEqual(done);
  });

  test('a batch has ids in its order, and is created whole or not at all', async () => {
    const { status, body } = await post('/create/get_circle_area/batch', [{ radius: 1 }, { radius: 2 }]);
    expect([status, Object(body).state, Object(body).ids.length]).toEqual([200, 'PENDING', 2]);
    expect(await checkUntil(Object(body).ids[1], 'SUCCESS')).toMatchObject({ result: { area: Math.PI * 4 } });
    const refused = await post('/create/get_circle_area/batch', [{ radius: 1 }, { radius: 0 }]);
    expect(refused).toMatchObject({ status: 422, body: { detail: [{ loc: ['body', 1, 'radius'] }] } });
    expect((await post('/create/noop/batch', [])).status).toBe(422);
    expect((await post('/create/noop/batch', Array(10_001).fill({}))).status).toBe(422);
  });

  test('running, raised, soft limit, hard limit, revoked while running, revoked while waiting', async () => {
    const running = idOf(await post('/create/wait', { seconds: 20 }));
    expect(await checkUntil(running, 'STARTED')).toMatchObject({ result: expect.stringContaining('@') });
    const raised = (await post('/run/misbehave', { way: 'throw' })).body;
    expect(raised).toMatchObject({
      state: 'FAILURE',
      result: expect.stringMatching(/^OrderError: the order is empty\n.*misbehave\.ts:\d+/s),
    });
    const soft = await post('/run/wait', { seconds: 9 }, { 'FastTask-Soft-Time-Limit': '0.3' });
    expect(soft.body).toMatchObject({ state: 'FAILURE', result: expect.stringContaining('SoftTimeLimitExceeded') });
    const hard = await post('/run/spin', {}, { 'FastTask-Time-Limit': '1', 'FastTask-Soft-Time-Limit': '0.5' });
    expect(hard.body).toMatchObject({ state: 'FAILURE', result: expect.stringContaining('TimeLimitExceeded(1)') });
    expect(await post('/revoke', { result_id: running })).toMatchObject({
      status: 200,
      body: { status: 'SUCCESS', result: '', message: 'task started, revoking now' },
    });
    expect(await checkUntil(running, 'REVOKED')).toMatchObject({ result: 'terminated' });
    const fillers = await Promise.all([1, 2].map(() => post('/create/wait', { seconds: 20 })));
    await Promise.all(fillers.map((filler) => checkUntil(idOf(filler), 'STARTED')));
    const waiting = idOf(await post('/create/noop', {}));
    expect((await get(`/check/${waiting}`)).body).toEqual({ id: waiting, state: 'PENDING', result: 'None' });
    expect((await post('/revoke', { result_id: waiting })).body).toMatchObject({
      status: 'SUCCESS',
      message: 'task is still pending, will revoked later',
    });
    expect((await get(`/check/${waiting}`)).body).toEqual({ id: waiting, state: 'REVOKED', result: 'revoked' });
    expect((await post('/revoke', { result_id: waiting })).body).toMatchObject({
      status: 'SUCCESS',
      message: 'task ended or revoked already',
    });
    await Promise.all(fillers.map((filler) => post('/revoke', { result_id: idOf(filler) })));
  });

  test('held by a concurrency limit is RETRY, and starts when there is a place', async () => {
    const place = { fasttask_concurrency_params: { concurrency_key: 'k', max_concurrency: 1, countdown: 1, expire: 60 } };
    const first = idOf(await post('/create/wait', { seconds: 1.5, ...place }));
    await checkUntil(first, 'STARTED');
    const second = idOf(await post('/create/wait', { seconds: 0.1, ...place }));
    expect(await checkUntil(second, 'RETRY')).toEqual({ id: second, state: 'RETRY', result: 'None' });
    expect(await checkUntil(second, 'SUCCESS')).toMatchObject({ result: { waited: true } });
  });

  test('ids of others, unknown ones, and those of another task', async () => {
    expect((await get('/check/WRONG-1')).body).toEqual({
      id: 'WRONG-1',
      state: 'FAILURE',
      result: `result_id='WRONG-1' not exist, current app.state.RUNNING_ID='${rid}'`,
    });
    expect((await post('/revoke', { result_id: 'WRONG-1' })).body).toEqual({
      status: 'FAILURE',
      result: '',
      message: `invalid result_id='WRONG-1' current app.state.RUNNING_ID='${rid}'`,
    });
    expect(await get(`/check/${strangerId()}`)).toMatchObject({ status: 404, body: { detail: expect.any(String) } });
    expect((await post('/revoke', { result_id: strangerId() })).body).toMatchObject({ status: 'FAILURE' });
    const other = idOf(await post('/run/noop', {}));
    expect((await get(`/check/wait?result_id=${other}`)).status).toBe(404);
    expect((await get(`/check/noop?result_id=WRONG&result_id=${other}`)).status).toBe(200);
  });

  test('Prefer: wait=N on /run is 202 with a place to look, on /check it answers as soon as the job ends', async () => {
    const late = await post('/run/wait', { seconds: 1 }, { prefer: 'wait=0' });
    expect(late).toMatchObject({ status: 202, body: { result: '' }, headers: { location: `/check/${idOf(late)}` } });
    expect((await get(`/check/${idOf(late)}`, { prefer: 'wait=10' })).body).toMatchObject({ state: 'SUCCESS' });
  });

  test('limits of a call above those of the task, and what is no number', async () => {
    for (const limit of ['26', '-1', 'soon', '0'])
      expect(await post('/create/noop', {}, { 'FastTask-Time-Limit': limit }), limit).toMatchObject({
        status: 422,
        body: { detail: [{ loc: ['header', 'FastTask-Time-Limit'] }] },
      });
  });
});

test('/status_info has its keys, empty where nothing was asked for, and its counts', async () => {
  const empty = (await post('/status_info', {})).body;
  expect(empty).toMatchObject({
    running_id: rid,
    username: 'Anonymous',
    worker_status: {},
    task_info_total: {},
    pending_task_count: {},
    task_info_noop: {},
  });
  await post('/run/noop', {});
  const { body } = await post('/status_info', { fields: ['worker_status', 'task_info', 'pending_task_count'] });
  const { worker_status: workers, task_info_noop: info, pending_task_count: pending } = Object(body);
  expect(pending).toMatchObject({ noop: 0, wait: 0 });
  expect(workers).toMatchObject({ online_worker_count: 1, online_workers_list: [expect.stringContaining('@')] });
  expect(Object.keys(Object.values(Object(workers).worker_details)[0] as object).sort()).toEqual(
    [
      'active_tasks',
      'pool.max-concurrency',
      'prefetch_count',
      'reserved_tasks',
      'rusage.maxrss',
      'scheduled_tasks',
      'total',
      'uptime',
    ].sort(),
  );
  expect(info.status_to_amount.SUCCESS).toBeGreaterThan(0);
  const windows = ['success', 'failure'].flatMap((end) =>
    ['1_minute', '15_minute', '1_hour', '1_day'].map((window) => `${end}_in_${window}`),
  );
  expect(Object.keys(info.completed_counts).sort()).toEqual([...windows].sort());
  expect(Object.keys(info.throughput_rates_per_second).sort()).toEqual([...windows].sort());
});

test('a file goes up as requests sends it, and comes down again', async () => {
  const boundary = 'd2f1a5c8e0b94d6f8a7b6c5d4e3f2a1b';
  const form = multipartBody([{ disposition: '; name="file"; filename="a report.txt"', content: 'text of the report' }], boundary);
  const { status, body } = await call('POST', '/upload', form.body, form.headers);
  const name = String(Object(body).file_name);
  expect([status, Object.keys(Object(body)), name.slice(36)]).toEqual([200, ['file_name'], '_a report.txt']);
  expect(name.slice(0, 36)).toMatch(uuid);
  const down = await get(`/download?file_name=${encodeURIComponent(name)}`);
  expect([down.status, down.body, down.headers['accept-ranges']]).toEqual([200, 'text of the report', 'bytes']);
  expect(String(down.headers['content-disposition'])).toContain('attachment');
  expect((await get('/download?file_name=nothing.txt')).status).toBe(404);
  expect((await get('/download')).status).toBe(422);
  expect((await get('/download?file_name=../x')).status).toBe(400);
  expect((await get('/download?file_name=fasttask/conf/secrets.json')).status).toBe(403);
});

test('/health tells nothing, /ready that jobs can be served, the pages and the document are there', async () => {
  expect(await get('/health')).toMatchObject({ status: 200, body: { status: 'ok' } });
  expect((await get('/ready')).status).toBe(200);
  for (const page of ['/docs', '/redoc']) expect(String((await get(page)).headers['content-type']), page).toBe('text/html; charset=utf-8');
  const { openapi, tags, paths } = Object((await get('/openapi.json')).body);
  expect(openapi).toMatch(/^3\.1\./);
  expect((tags as { name: string }[]).map(({ name }) => name)).toEqual(
    expect.arrayContaining(['Task: noop', 'Monitoring', 'File Management', 'Task Control']),
  );
  expect(Object.keys(paths)).toEqual(
    expect.arrayContaining(['/run/noop', '/create/noop', '/create/noop/batch', '/check/noop', '/revoke', '/status_info']),
  );
});
