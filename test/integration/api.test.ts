import { writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect as tlsConnect } from 'node:tls';
import { FormData } from 'undici';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Answer, jobOf } from '../support/https.ts';
import type { TestProcess } from '../support/processes.ts';
import { until } from '../support/until.ts';
import { type ApiNode, startApiNode, TASKS } from './api-node.ts';

let node: ApiNode;
let consumer: TestProcess;

beforeAll(async () => {
  node = await startApiNode();
  consumer = await node.startConsumer();
});
afterAll(() => node.stop());

const detail = (answer: Answer) => (answer.body as { detail: unknown }).detail;
const issues = (answer: Answer) =>
  detail(answer) as { type: string; loc: (string | number)[]; msg: string; input: unknown; ctx?: unknown }[];
const create = async (task: string, params: unknown) => jobOf(await node.api.post(`/create/${task}`, params)).id;
const unknownId = async () => `${(await create('noop', {})).split('-noop-')[0]}-noop-0199d4a5-7c1e-7a30-8f52-3a0c6f1f9b7e`;

describe('/run', () => {
  test('answers with the result of the task', async () => {
    const answer = await node.api.post('/run/get_circle_area', { radius: 5 });
    expect(answer).toMatchObject({ status: 200, body: { state: 'SUCCESS', result: { area: 78.53981633974483 } } });
    expect(answer.headers['content-type']).toBe('application/json');
    expect(jobOf(answer).id).toMatch(/^[A-Za-z0-9]{8}-get_circle_area-[0-9a-f-]{36}$/);
    expect(jobOf(await node.api.get(`/check/${jobOf(answer).id}`)).result).toEqual({ area: 78.53981633974483 });
  });

  test('answers 200 with the text of a failure', async () => {
    const job = jobOf(await node.api.post('/run/misbehave', { way: 'throw' }));
    expect(job.state).toBe('FAILURE');
    expect(job.result).toMatch(/^OrderError: the order is empty/);
  });

  test('a result too long for the message is read from the job', async () => {
    const job = jobOf(await node.api.post('/run/misbehave', { way: 'large' }));
    expect(String(job.result)).toHaveLength(2_000_000);
  });

  test('Prefer: wait=N turns a slow one into 202 with its state and its place', async () => {
    const began = performance.now();
    const answer = await node.api.post('/run/wait', { seconds: 2 }, { headers: { prefer: 'wait=1' } });
    expect(performance.now() - began).toBeLessThan(1800);
    const { id, state, result } = jobOf(answer);
    expect(answer.status).toBe(202);
    expect({ state, result }).toEqual({ state: 'STARTED', result: '' });
    expect(answer.headers['location']).toBe(`/check/${id}`);
    expect(answer.headers['preference-applied']).toBe('wait=1');
    await node.reaches(id, 'SUCCESS');
  });

  test('a malformed Prefer is ignored, wait=0 answers at once', async () => {
    expect((await node.api.post('/run/noop', {}, { headers: { prefer: 'wait=soon' } })).status).toBe(200);
    const answer = await node.api.post('/run/wait', { seconds: 0.2 }, { headers: { prefer: 'wait=0' } });
    expect(answer.status).toBe(202);
    await node.reaches(jobOf(answer).id, 'SUCCESS');
  });

  test('a job revoked while somebody waits for it answers at once', async () => {
    const running = node.api.post('/run/wait', { seconds: 15 });
    const busy = await until(async () => await activeIds(), { what: 'the job to run' });
    await node.api.post('/revoke', { result_id: busy[0] });
    const began = performance.now();
    expect(jobOf(await running)).toMatchObject({ state: 'REVOKED', result: 'terminated' });
    expect(performance.now() - began).toBeLessThan(1000);
  });

  test('a client that hangs up does not lose the job', async () => {
    const hangUp = node.api.send('POST', '/run/wait', { seconds: 4 }, { timeoutMs: 400 });
    await expect(hangUp).rejects.toThrow();
    const [id = ''] = await until(async () => await activeIds(), { what: 'the job to run' });
    expect((await node.reaches(id, 'SUCCESS')).result).toEqual({ waited: true });
  });

  test('headers lower the limits, and are refused above them', async () => {
    const job = jobOf(await node.api.post('/run/spin', {}, { headers: { 'fasttask-time-limit': '1', 'fasttask-soft-time-limit': '0.5' } }));
    expect(job).toMatchObject({ state: 'FAILURE', result: 'TimeLimitExceeded(1)' });
    const refused = await node.api.post('/create/spin', {}, { headers: { 'fasttask-time-limit': '1000' } });
    expect(refused.status).toBe(422);
    expect(issues(refused)).toMatchObject([{ type: 'less_than_equal', loc: ['header', 'FastTask-Time-Limit'], ctx: { le: 25 } }]);
  });

  async function activeIds(): Promise<string[] | undefined> {
    const { body } = await node.api.post('/status_info', { fields: ['worker_status'] });
    const { worker_status } = body as { worker_status: { worker_details: Record<string, { active_tasks: string[] }> } };
    const ids = Object.values(worker_status.worker_details).flatMap(({ active_tasks }) =>
      active_tasks.filter((id) => id.includes('-wait-')),
    );
    // A consumer tells what it does every 2 s: some of it may have ended since.
    const states = await Promise.all(ids.map(async (id) => jobOf(await node.api.get(`/check/${id}`)).state));
    const running = ids.filter((_, index) => states[index] === 'STARTED');
    return running.length > 0 ? running : undefined;
  }
});

describe('/create and /check', () => {
  test('a job goes from PENDING to its result, by both forms of /check', async () => {
    const answer = await node.api.post('/create/get_circle_area', { radius: 1 });
    expect(answer.body).toEqual({ id: expect.any(String), state: 'PENDING', result: '' });
    const { id } = jobOf(answer);
    expect(await node.reaches(id, 'SUCCESS')).toEqual({ id, state: 'SUCCESS', result: { area: Math.PI } });
    expect((await node.api.get(`/check/get_circle_area?result_id=${id}`)).body).toEqual({
      id,
      state: 'SUCCESS',
      result: { area: Math.PI },
    });
    expect((await node.api.get(`/check/get_circle_area?result_id=x&result_id=${id}`)).status).toBe(200);
  });

  test('a running job names its consumer', async () => {
    const id = await create('wait', { seconds: 1 });
    expect((await node.reaches(id, 'STARTED')).result).toMatch(/worker@/);
    await node.reaches(id, 'SUCCESS');
  });

  test('Prefer: wait=N on /check answers as soon as the job ends', async () => {
    const id = await create('wait', { seconds: 0.6 });
    const began = performance.now();
    const answer = await node.api.get(`/check/${id}`, { headers: { prefer: 'wait=10' } });
    expect(performance.now() - began).toBeLessThan(3000);
    expect(jobOf(answer).state).toBe('SUCCESS');
    expect(answer.headers['preference-applied']).toBe('wait=10');
    const slow = await create('wait', { seconds: 3 });
    expect(jobOf(await node.api.get(`/check/${slow}`, { headers: { prefer: 'wait=1' } })).state).toBe('STARTED');
    await node.api.post('/revoke', { result_id: slow });
  });

  test('an id of another installation is FAILURE with the running id', async () => {
    for (const path of ['/check/WRONG-1', '/check/noop?result_id=WRONG-1']) {
      const job = jobOf(await node.api.get(path));
      expect(job).toMatchObject({ id: 'WRONG-1', state: 'FAILURE' });
      expect(job.result).toMatch(/^result_id='WRONG-1' not exist, current app\.state\.RUNNING_ID='[A-Za-z0-9]{8}'$/);
    }
  });

  test('an unknown id, a malformed one and one of another task are 404', async () => {
    const id = await create('noop', {});
    for (const path of [`/check/${await unknownId()}`, `/check/${id}x`, `/check/wait?result_id=${id}`, `/check/ghost?result_id=${id}`]) {
      expect((await node.api.get(path)).status, path).toBe(404);
    }
    expect(detail(await node.api.get(`/check/wait?result_id=${id}`))).toContain(id);
  });

  test('a task’s name without result_id is 422', async () => {
    const answer = await node.api.get('/check/noop');
    expect(answer.status).toBe(422);
    expect(answer.body).toEqual({ detail: [{ type: 'missing', loc: ['query', 'result_id'], msg: 'Field required', input: null }] });
  });

  test('a batch creates all, in order', async () => {
    const answer = await node.api.post('/create/get_circle_area/batch', [{ radius: 1 }, { radius: 2 }, { radius: 3 }]);
    expect(answer).toMatchObject({ status: 200, body: { state: 'PENDING' } });
    const { ids } = answer.body as { ids: string[] };
    const areas = await Promise.all(ids.map(async (id) => (await node.reaches(id, 'SUCCESS')).result));
    expect(areas).toEqual([1, 2, 3].map((radius) => ({ area: Math.PI * radius ** 2 })));
  });

  test('a batch with problems creates none and tells all of them', async () => {
    const before = await totalOf('get_circle_area');
    const answer = await node.api.post('/create/get_circle_area/batch', [{ radius: 1 }, { radius: 'x' }, {}, null]);
    expect(answer.status).toBe(422);
    expect(issues(answer).map(({ type, loc }) => [type, ...loc])).toEqual([
      ['float_type', 'body', 1, 'radius'],
      ['missing', 'body', 2, 'radius'],
      ['model_attributes_type', 'body', 3],
    ]);
    expect(await totalOf('get_circle_area')).toBe(before);
    expect(issues(await node.api.post('/create/noop/batch', []))).toMatchObject([{ type: 'too_short', loc: ['body'] }]);
    expect(issues(await node.api.post('/create/noop/batch', {}))).toMatchObject([{ type: 'list_type', loc: ['body'] }]);
    expect(issues(await node.api.post('/create/noop/batch'))).toMatchObject([{ type: 'missing', loc: ['body'] }]);
    expect(issues(await node.api.post('/create/noop/batch', Array(10_001).fill({})))).toMatchObject([{ type: 'too_long' }]);
  });

  async function totalOf(task: string): Promise<number> {
    const { body } = await node.api.post('/status_info', { fields: ['task_info'] });
    const info = (body as Record<string, { status_to_amount: Record<string, number> }>)[`task_info_${task}`];
    return Object.values(info?.status_to_amount ?? {}).reduce((sum, count) => sum + count, 0);
  }
});

describe('/revoke', () => {
  const revoke = (id: string) => node.api.post('/revoke', { result_id: id });

  test('revokes a running job, and what has ended keeps its state', async () => {
    const id = await create('wait', { seconds: 15 });
    await node.reaches(id, 'STARTED');
    expect((await revoke(id)).body).toEqual({ status: 'SUCCESS', result: '', message: 'task started, revoking now' });
    expect((await node.reaches(id, 'REVOKED')).result).toBe('terminated');
    expect((await revoke(id)).body).toMatchObject({ status: 'SUCCESS', message: 'task ended or revoked already' });
  });

  test('revokes a waiting job', async () => {
    const busy = [await create('wait', { seconds: 15 }), await create('wait', { seconds: 15 })];
    await Promise.all(busy.map((id) => node.reaches(id, 'STARTED')));
    const waiting = await create('noop', {});
    expect(jobOf(await node.api.get(`/check/${waiting}`))).toMatchObject({ state: 'PENDING', result: 'None' });
    expect((await revoke(waiting)).body).toEqual({ status: 'SUCCESS', result: '', message: 'task is still pending, will revoked later' });
    expect(jobOf(await node.api.get(`/check/${waiting}`))).toMatchObject({ state: 'REVOKED', result: 'revoked' });
    for (const id of busy) await revoke(id);
  });

  test('another installation’s id and an unknown one are FAILURE', async () => {
    const wrong = (await revoke('WRONG-1')).body as { status: string; message: string };
    expect(wrong.status).toBe('FAILURE');
    expect(wrong.message).toMatch(/^invalid result_id='WRONG-1' current app\.state\.RUNNING_ID='\w+'$/);
    expect((await revoke(await unknownId())).body).toMatchObject({ status: 'FAILURE', result: '' });
    expect(issues(await node.api.post('/revoke', {}))).toMatchObject([{ type: 'missing', loc: ['body', 'result_id'] }]);
  });
});

describe('/status_info', () => {
  test('has exactly its keys, empty where nothing was asked for', async () => {
    const { status, body } = await node.api.post('/status_info', {});
    expect(status).toBe(200);
    const { running_id, username, ...rest } = body as Record<string, unknown>;
    expect({ running_id, username }).toEqual({ running_id: expect.stringMatching(/^\w{8}$/), username: 'Anonymous' });
    const tasks = TASKS.map((task) => [`task_info_${task}`, {}]);
    expect(rest).toEqual({ worker_status: {}, task_info_total: {}, pending_task_count: {}, ...Object.fromEntries(tasks) });
  });

  test('tells consumers and counts', async () => {
    await node.api.post('/run/noop', {});
    await node.api.post('/run/misbehave', { way: 'throw' });
    const { body } = await node.api.post('/status_info', { fields: ['worker_status', 'task_info', 'pending_task_count'] });
    const { worker_status, pending_task_count, task_info_misbehave } = body as Record<string, Record<string, unknown>>;
    expect(pending_task_count).toEqual(Object.fromEntries(TASKS.map((task) => [task, 0])));
    expect(worker_status).toMatchObject({ online_worker_count: 1, online_workers_list: [expect.stringMatching(/^worker@/)] });
    const [details] = Object.values(Object(worker_status?.['worker_details']));
    expect(details).toEqual({
      active_tasks: expect.any(Array),
      reserved_tasks: [],
      scheduled_tasks: [],
      total: expect.any(Object),
      uptime: expect.any(Number),
      'pool.max-concurrency': 2,
      prefetch_count: 2,
      'rusage.maxrss': expect.any(Number),
    });
    expect(task_info_misbehave).toMatchObject({
      status_to_amount: { FAILURE: expect.any(Number) },
      throughput_rates_per_second: { success_in_1_minute: expect.any(Number) },
    });
    const { completed_counts } = task_info_misbehave as { completed_counts: Record<string, number> };
    expect(completed_counts['failure_in_1_minute']).toBeGreaterThan(0);
    expect(Object.keys(completed_counts)).toHaveLength(8);
  });

  test('refuses unknown fields and a text for the list', async () => {
    expect(issues(await node.api.post('/status_info', { fields: ['task_infos'] }))).toEqual([
      {
        type: 'literal_error',
        loc: ['body', 'fields', 0],
        msg: "Input should be 'worker_status', 'task_info' or 'pending_task_count'",
        input: 'task_infos',
        ctx: { expected: "'worker_status', 'task_info' or 'pending_task_count'" },
      },
    ]);
    expect(issues(await node.api.post('/status_info', { fields: 'task_info' }))).toMatchObject([
      { type: 'list_type', loc: ['body', 'fields'] },
    ]);
    expect(issues(await node.api.post('/status_info'))).toMatchObject([{ type: 'missing', loc: ['body'] }]);
  });
});

describe('what is refused', () => {
  test('unknown paths and tasks are 404, before anything else', async () => {
    for (const [method, path] of [
      ['GET', '/'],
      ['GET', '/nowhere'],
      ['POST', '/run/ghost'],
      ['GET', '/run/ghost'],
      ['POST', '/create/ghost/batch'],
      ['POST', '/run/%E0%A4%A'],
      ['GET', '/run/noop/'],
    ] as const) {
      const answer = await node.api.send(method, path, method === 'POST' ? '{broken' : undefined);
      if (path !== '/run/noop/') expect([path, answer.status, answer.body]).toEqual([path, 404, { detail: 'Not Found' }]);
      expect(answer.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
    }
  });

  test.each([
    ['GET', '/run/noop', 'POST'],
    ['HEAD', '/run/noop', 'POST'],
    ['OPTIONS', '/create/noop', 'POST'],
    ['DELETE', '/check/x', 'GET'],
    ['HEAD', '/check/x', 'GET'],
    ['PUT', '/revoke', 'POST'],
    ['POST', '/health', 'GET, HEAD'],
  ] as const)('%s %s is 405', async (method, path, allow) => {
    const answer = await node.api.send(method, path);
    expect([answer.status, answer.headers['allow']]).toEqual([405, allow]);
    if (method !== 'HEAD') expect(answer.body).toEqual({ detail: 'Method Not Allowed' });
  });

  test('any method that Node parses is 405, and CONNECT too', async () => {
    for (const method of ['PROPFIND', 'SEARCH', 'TRACE', 'CONNECT'])
      expect(await raw(`${method} /run/noop HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`), method).toMatch(/^HTTP\/1\.1 405 /);
    expect(await raw('NONSENSE / HTTP/1.1\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
    expect(await raw(`GET / HTTP/1.1\r\nhost: x\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 431 /);
  });

  test('a trailing slash leads to the path without it', async () => {
    const answer = await node.api.send('POST', '/run/noop/?a=1', {});
    expect([answer.status, answer.headers['location'], answer.body]).toEqual([307, '/run/noop?a=1', '']);
    expect((await node.api.get('/run/ghost/')).status).toBe(404);
    expect(await raw('GET //evil.example/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')).toMatch(/^HTTP\/1\.1 404 /);
  });

  test('problems of the params are all told', async () => {
    const answer = await node.api.post('/create/wait', { at_limit: 'never' });
    expect(answer.status).toBe(422);
    expect(
      issues(answer)
        .map(({ type, loc }) => [type, ...loc])
        .sort(),
    ).toEqual([
      ['literal_error', 'body', 'at_limit'],
      ['missing', 'body', 'seconds'],
    ]);
    expect(issues(await node.api.post('/run/get_circle_area', { radius: 0 }))).toEqual([
      { type: 'greater_than', loc: ['body', 'radius'], msg: 'Input should be greater than 0', input: 0, ctx: { gt: 0 } },
    ]);
  });

  test('numeric text is no number; unknown fields are ignored; any content type that holds JSON is taken', async () => {
    expect(issues(await node.api.post('/run/get_circle_area', { radius: '1' }))).toMatchObject([{ type: 'float_type' }]);
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/vnd.api+json', '']) {
      const answer = await node.api.post('/run/get_circle_area', '{"radius":1,"more":true}', {
        headers: type === '' ? {} : { 'content-type': type },
      });
      expect([type, answer.status]).toEqual([type, 200]);
    }
  });

  test('no body, broken JSON, a form, bytes that are not UTF-8, deep nesting, a compressed body', async () => {
    expect(issues(await node.api.post('/run/noop'))).toEqual([{ type: 'missing', loc: ['body'], msg: 'Field required', input: null }]);
    expect(issues(await node.api.post('/run/noop', 'null'))).toMatchObject([{ type: 'missing', loc: ['body'] }]);
    expect(issues(await node.api.post('/run/noop', '[1]'))).toMatchObject([{ type: 'model_attributes_type', loc: ['body'], input: [1] }]);
    expect(issues(await node.api.post('/run/noop', '{"a": 1,'))).toEqual([
      {
        type: 'json_invalid',
        loc: ['body', 8],
        msg: 'JSON decode error',
        input: {},
        ctx: { error: 'Expecting property name enclosed in double quotes' },
      },
    ]);
    const form = new FormData();
    form.set('radius', '1');
    expect((await node.api.post('/run/get_circle_area', form)).status).toBe(422);
    for (const body of [new Uint8Array([0x7b, 0xff, 0x7d]), '['.repeat(100_000)]) {
      expect(await node.api.post('/run/noop', body)).toMatchObject({
        status: 400,
        body: { detail: 'There was an error parsing the body' },
      });
    }
    expect((await node.api.post('/run/noop', new Uint8Array([0x1f, 0x8b]), { headers: { 'content-encoding': 'gzip' } })).status).toBe(415);
  });

  test('a body over the limit is 413, with a length and without', async () => {
    const large = `{"a":"${'x'.repeat(11 * 1024 ** 2)}"}`;
    expect((await node.api.post('/run/noop', large)).status).toBe(413);
    expect(
      await raw(
        `POST /run/noop HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n${large.length.toString(16)}\r\n${large}\r\n0\r\n\r\n`,
      ),
    ).toMatch(/^HTTP\/1\.1 413 /);
    expect((await node.api.post('/run/noop', {})).status).toBe(200);
  });

  test('keys named __proto__ do no harm', async () => {
    expect((await node.api.post('/run/get_circle_area', '{"__proto__":{"radius":1}}')).status).toBe(422);
    expect(
      (await node.api.post('/run/get_circle_area', '{"radius":1,"__proto__":{"toString":1},"constructor":{"prototype":{"x":1}}}')).status,
    ).toBe(200);
  });

  test('fasttask_concurrency_params of a wrong shape', async () => {
    const at = (value: unknown) => node.api.post('/create/noop', { fasttask_concurrency_params: value });
    const loc = ['body', 'fasttask_concurrency_params'];
    expect(issues(await at({}))).toMatchObject([{ type: 'missing', loc: [...loc, 'concurrency_key'] }]);
    expect(
      issues(await at({ concurrency_key: 1, max_concurrency: 0 }))
        .map(({ type }) => type)
        .sort(),
    ).toEqual(['greater_than', 'string_type']);
    expect(issues(await at('x'))).toMatchObject([{ type: 'model_attributes_type', loc }]);
    expect((await at(null)).status).toBe(200);
    expect(
      jobOf(await node.api.post('/run/noop', { fasttask_concurrency_params: { concurrency_key: 'k', max_concurrency: 2 } })).state,
    ).toBe('SUCCESS');
  });

  test('a request id of the client’s is kept when it is a sane one', async () => {
    expect((await node.api.get('/health', { headers: { 'x-request-id': 'abc_1-2' } })).headers['x-request-id']).toBe('abc_1-2');
    expect((await node.api.get('/health', { headers: { 'x-request-id': 'a b' } })).headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
    const { headers } = await node.api.get('/health');
    expect([headers['x-powered-by'], headers['server']]).toEqual([undefined, undefined]);
  });

  function raw(text: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = tlsConnect({ host: '127.0.0.1', port: node.port, rejectUnauthorized: false }, () => socket.write(text));
      let answer = '';
      socket.setEncoding('utf8').on('data', (chunk: string) => {
        answer += chunk;
      });
      socket.on('close', () => resolve(answer)).on('error', reject);
    });
  }
});

describe('documentation', () => {
  test('/openapi.json knows every task', async () => {
    const { status, body } = await node.api.get('/openapi.json');
    expect(status).toBe(200);
    expect(Object.keys((body as { paths: object }).paths)).toEqual(
      expect.arrayContaining(['/run/get_circle_area', '/create/wait/batch', '/check/{result_id}']),
    );
  });

  test('pages and their files come from here, with a policy', async () => {
    for (const page of ['/docs', '/redoc']) {
      const { status, headers, body } = await node.api.get(page);
      expect([page, status, headers['content-type']]).toEqual([page, 200, 'text/html; charset=utf-8']);
      expect(headers['content-security-policy']).toContain("default-src 'none'");
      const links = [...String(body).matchAll(/(?:src|href)="([^"#]+)"/g)].map(([, link = '']) => link).filter((link) => link !== 'data:,');
      expect(
        links.every((link) => link.startsWith('/')),
        links.join(),
      ).toBe(true);
      for (const link of links) expect([link, (await node.api.get(link)).status]).toEqual([link, 200]);
    }
    expect((await node.api.get('/docs/assets/0.0.0/swagger-ui-bundle.js')).status).toBe(404);
  });
});

describe('switches, accounts and hosts', () => {
  test('routes that are switched off are 404, in the document too', async () => {
    const off = Object.fromEntries(
      ['DOCS', 'REDOC', 'STATUS_INFO', 'RUN', 'CREATE', 'CHECK', 'REVOKE', 'FILE_UPLOAD', 'FILE_DOWNLOAD'].map((name) => [
        `API_${name}`,
        'False',
      ]),
    );
    const { api, process } = await node.anotherApi({ ...off, API_TLS: 'False' });
    await until(async () => (await api.get('/ready')).status === 200, { what: 'the API to be ready' });
    for (const path of ['/docs', '/redoc', '/status_info', '/run/noop', '/create/noop', '/check/noop', '/revoke', '/upload', '/download'])
      expect((await api.get(path)).status, path).toBe(404);
    const { body } = await api.get('/openapi.json');
    expect(Object.keys((body as { paths: object }).paths)).toEqual(['/health', '/ready']);
    await process.stop();
  });

  test('beyond loopback without accounts everything but /health and /ready is 503, unless that is allowed', async () => {
    const open = await node.anotherApi({ API_HOST: '0.0.0.0' });
    for (const path of ['/check/x', '/openapi.json', '/docs', '/nowhere']) expect((await open.api.get(path)).status, path).toBe(503);
    expect((await open.api.get('/health')).status).toBe(200);
    await open.process.waitForEvent('access.closed_without_accounts');
    await open.process.stop();
    const allowed = await node.anotherApi({ API_HOST: '0.0.0.0', API_ALLOW_ANONYMOUS: 'True' });
    expect((await allowed.api.get('/openapi.json')).status).toBe(200);
    await allowed.process.waitForEvent('access.anonymous');
    await allowed.process.stop();
  });

  test('accounts: nobody without, wrong ones out, right ones in, and a broken file opens nothing', async () => {
    const file = `${node.files}/fasttask/conf/user_to_passwd.json`;
    const seen = async (content: string, check: () => Promise<boolean>) => {
      writeFileSync(file, content);
      await until(check, { what: `${content} to be noticed`, timeoutMs: 10_000, everyMs: 200 });
    };
    const status = async (auth?: readonly [string, string]) =>
      (await node.api.get('/openapi.json', auth === undefined ? {} : { auth })).status;
    expect(await status(['', ''])).toBe(200);
    await seen('{"ann":"secret:1"}', async () => (await status()) === 401);
    const none = await node.api.get('/docs');
    expect([none.status, none.headers['www-authenticate'], none.body]).toEqual([401, 'Basic', { detail: 'Not authenticated' }]);
    for (const auth of [
      ['ann', 'wrong'],
      ['bob', 'secret:1'],
      ['', ''],
    ] as const) {
      expect(await node.api.post('/revoke', { result_id: 1 }, { auth })).toMatchObject({ status: 401, body: { detail: 'UNAUTHORIZED' } });
    }
    expect((await node.api.post('/revoke', '{broken', {})).status).toBe(422);
    expect((await node.api.get('/run/ghost')).status).toBe(404);
    expect((await node.api.get('/health')).status).toBe(200);
    expect((await node.api.post('/status_info', {}, { auth: ['ann', 'secret:1'] })).body).toMatchObject({ username: 'ann' });
    await seen('{"ann":', async () => (await status(['ann', 'secret:1'])) === 503);
    expect(await node.process.waitForEvent('accounts.refused')).toMatchObject({
      reason: expect.stringContaining('not JSON'),
    });
    await seen('{}', async () => (await status()) === 200);
  }, 60_000);

  test('plain HTTP is spoken when API_TLS is False', async () => {
    const { process, port } = await node.anotherApi({ API_TLS: 'False' });
    const code = await new Promise((resolve, reject) => {
      request({ host: '127.0.0.1', port, path: '/health', agent: false }, (answer) => resolve(answer.resume().statusCode))
        .on('error', reject)
        .end();
    });
    expect(code).toBe(200);
    await process.stop();
  });
});

test('the consumer ran all of it', () => expect(consumer.alive).toBe(true));
