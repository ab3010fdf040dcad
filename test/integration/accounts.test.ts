import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { keyText } from '../../shared/accounts.ts';
import { hashOf, writeAccounts } from '../support/accounts.ts';
import { parseEvents } from '../support/events.ts';
import { type Answer, apiClient, jobOf, type Method } from '../support/https.ts';
import { until } from '../support/until.ts';
import { type ApiNode, startApiNode } from './api-node.ts';

const key = keyText('ci_bot', 'k3Y'.repeat(14));
const expiredKey = keyText('old', 'k3Y'.repeat(14));

const accounts = {
  root: 'root-secret',
  eve: { secret: hashOf('eve-secret'), role: 'viewer' },
  sue: { secret: hashOf('süe:secret'), role: 'submitter' },
  sam: { secret: hashOf('sam-secret'), role: 'submitter' },
  ci_bot: { secret: hashOf(key), role: 'submitter', tasks: ['noop', 'wait'] },
  old: { secret: hashOf(expiredKey), role: 'admin', expires: '2020-01-01' },
};

const root = { auth: ['root', 'root-secret'] } as const;
const eve = { auth: ['eve', 'eve-secret'] } as const;
const sue = { auth: ['sue', 'süe:secret'] } as const;
const sam = { auth: ['sam', 'sam-secret'] } as const;
const bot = { headers: { authorization: `Bearer ${key}` } };
const nobody = {};

type Client = ApiNode['api'];
type Options = Parameters<Client['get']>[1];

let node: ApiNode;
let api: Client;
let other: Client;

/** Waits until an API process has noticed the accounts, at most the 10 s that the contract gives it. */
async function noticed(client: Client, options: Options, status: number): Promise<void> {
  const now = async () => (await client.get('/openapi.json', options)).status === status;
  await until(now, { what: `a status of ${status}`, timeoutMs: 10_000, everyMs: 200 });
}

beforeAll(async () => {
  node = await startApiNode();
  api = node.api;
  await node.startConsumer();
  other = (await node.anotherApi({})).api;
  writeAccounts(node.files, accounts);
  await Promise.all([noticed(api, nobody, 401), noticed(other, nobody, 401)]);
});
afterAll(() => node.stop());

const create = async (task: string, params: unknown, options: Options) => jobOf(await api.post(`/create/${task}`, params, options)).id;

const stateOf = async (id: string) => jobOf(await api.get(`/check/${id}`, root)).state;

const reaches = (id: string, state: string) =>
  until(async () => (await stateOf(id)) === state, { what: `${id} to be ${state}`, timeoutMs: 20_000 });

describe('roles', () => {
  let id: string;

  beforeAll(async () => {
    id = jobOf(await api.post('/run/noop', {}, root)).id;
  });

  const routes: readonly (readonly [Method, (id: string) => string, unknown?])[] = [
    ['POST', () => '/run/noop', {}],
    ['POST', () => '/create/noop', {}],
    ['POST', () => '/create/noop/batch', [{}]],
    ['POST', () => '/revoke', { result_id: 'unknown' }],
    ['POST', () => '/run/get_circle_area', { radius: 1 }],
    ['POST', () => '/create/get_circle_area', { radius: 1 }],
    ['POST', () => '/create/get_circle_area/batch', [{ radius: 1 }]],
    ['GET', (id) => `/check/${id}`],
    ['GET', (id) => `/check/noop?result_id=${id}`],
    ['GET', (id) => `/events?ids=${id}`],
    ['POST', () => '/events', { ids: ['unknown'] }],
    ['GET', (id) => `/jobs/${id}/logs`],
    ['POST', () => '/status_info', {}],
    ['GET', () => '/openapi.json'],
    ['GET', () => '/docs'],
    ['GET', () => '/redoc'],
    ['GET', () => '/health'],
    ['GET', () => '/ready'],
    ['POST', () => '/create/ghost', {}],
    ['GET', () => '/create/noop'],
  ];

  test.each([
    ['an admin', root, [200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 404, 405]],
    ['a viewer', eve, [403, 403, 403, 403, 403, 403, 403, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 404, 405]],
    ['a submitter', sue, [200, 200, 200, 200, 200, 200, 200, 404, 404, 200, 200, 404, 200, 200, 200, 200, 200, 200, 404, 405]],
    ['a key for some tasks', bot, [200, 200, 200, 200, 404, 404, 404, 404, 404, 200, 200, 404, 200, 200, 200, 200, 200, 200, 404, 405]],
    ['nobody', nobody, [401, 401, 401, 401, 401, 401, 401, 401, 401, 401, 401, 401, 401, 401, 401, 401, 200, 200, 404, 405]],
    ['an ended account', { headers: { authorization: `Bearer ${expiredKey}` } }, [...Array<number>(16).fill(401), 200, 200, 404, 405]],
  ])('%s is let in where the role says so', async (_who, options, expected) => {
    const answers: Answer[] = [];
    for (const [method, path, body] of routes) answers.push(await api.send(method, path(id), body, options));
    expect(answers.map(({ status }) => status)).toEqual(expected);
    for (const { status, body, headers } of answers) {
      if (status >= 400) expect(body).toEqual({ detail: expect.any(String) });
      if (status === 401) expect(headers['www-authenticate']).toBe('Basic');
    }
  });

  test('credentials come after a short body is parsed and before its fields are looked at', async () => {
    expect((await api.post('/create/noop', '{broken', nobody)).status).toBe(422);
    expect((await api.post('/create/get_circle_area', {}, nobody)).status).toBe(401);
    expect((await api.post('/create/get_circle_area', {}, eve)).status).toBe(403);
    expect((await api.post('/create/get_circle_area', {}, sue)).status).toBe(422);
  });
});

describe('what belongs to somebody else', () => {
  test('a job of another submitter is one that never existed, in every text', async () => {
    const id = await create('wait', { seconds: 60 }, sue);
    await reaches(id, 'STARTED');
    const unknown = id.replace(/.$/, (last) => (last === '0' ? '1' : '0'));
    const told = async (of: string) => {
      const answers = [
        await api.get(`/check/${of}`, sam),
        await api.get(`/check/${of}`, { ...sam, headers: { prefer: 'wait=1' } }),
        await api.get(`/check/wait?result_id=${of}`, sam),
        await api.get(`/jobs/${of}/logs`, sam),
        await api.get(`/events?ids=${of}`, sam),
        await api.post('/revoke', { result_id: of }, sam),
      ];
      return answers.map(({ status, body }) => ({ status, text: JSON.stringify(body).replaceAll(of, 'ID') }));
    };
    expect(await told(id)).toEqual(await told(unknown));
    expect((await told(id)).map(({ status }) => status)).toEqual([404, 404, 404, 404, 200, 200]);
    expect(await stateOf(id)).toBe('STARTED');
    for (const options of [sue, eve, root]) {
      expect(jobOf(await api.get(`/check/${id}`, options))).toMatchObject({ state: 'STARTED' });
      expect((await api.get(`/jobs/${id}/logs`, options)).status).toBe(200);
    }
    expect((await api.post('/revoke', { result_id: id }, sue)).body).toMatchObject({ status: 'SUCCESS' });
    await reaches(id, 'REVOKED');
  });

  test('every way to submit makes a job of the caller, and an answer never names the owner', async () => {
    const ran = jobOf(await api.post('/run/noop', {}, sue)).id;
    const batch = await api.post('/create/noop/batch', [{}, {}], sue);
    const { ids } = batch.body as { ids: string[] };
    for (const id of [ran, await create('noop', {}, sue), ...ids]) {
      await reaches(id, 'SUCCESS');
      const answer = await api.get(`/check/${id}`, sue);
      expect(answer.status).toBe(200);
      expect(Object.keys(answer.body as object)).toEqual(['id', 'state', 'result']);
      expect((await api.get(`/check/${id}`, sam)).status).toBe(404);
    }
  });

  test('events tell the ends of jobs that the caller may see, and of others what they tell of none', async () => {
    const [own, others, circle] = [
      jobOf(await api.post('/run/noop', {}, sue)).id,
      jobOf(await api.post('/run/noop', {}, bot)).id,
      jobOf(await api.post('/run/get_circle_area', { radius: 1 }, root)).id,
    ];
    const told = async (options: Options) => {
      const { body } = await api.get(`/events?ids=${own},${others},${circle}`, options);
      return parseEvents(String(body)).map(({ event }) => event);
    };
    expect(await told(sue)).toEqual(['end', 'unknown', 'unknown', 'done']);
    expect(await told(bot)).toEqual(['unknown', 'end', 'unknown', 'done']);
    expect(await told(eve)).toEqual(['end', 'end', 'end', 'done']);
  });

  test('status_info lists the running jobs that the caller may see', async () => {
    const suesJob = await create('wait', { seconds: 60 }, sue);
    const rootsJob = await create('wait', { seconds: 60 }, root);
    await Promise.all([reaches(suesJob, 'STARTED'), reaches(rootsJob, 'STARTED')]);
    const active = async (options: Options): Promise<string[]> => {
      const { body } = await api.post('/status_info', { fields: ['worker_status'] }, options);
      const { worker_details: details } = (body as { worker_status: { worker_details: Record<string, { active_tasks: string[] }> } })
        .worker_status;
      return Object.values(details).flatMap((detail) => detail.active_tasks);
    };
    // A consumer tells of itself every 2 s: what it told last may name jobs of the tests before.
    const both = [suesJob, rootsJob].sort().join();
    await until(async () => (await active(root)).sort().join() === both, { what: 'just these jobs in the status', timeoutMs: 10_000 });
    expect(new Set(await active(eve))).toEqual(new Set([suesJob, rootsJob]));
    expect(await active(sue)).toEqual([suesJob]);
    expect(await active(sam)).toEqual([]);
    expect(await active(bot)).toEqual([]);
    for (const id of [suesJob, rootsJob]) await api.post('/revoke', { result_id: id }, root);
  });

  test('a task that an account may not use does not exist for it', async () => {
    const id = jobOf(await api.post('/run/get_circle_area', { radius: 1 }, root)).id;
    const paths = async (options: Options) => Object.keys(((await api.get('/openapi.json', options)).body as { paths: object }).paths);
    expect((await paths(root)).filter((path) => path.startsWith('/run/')).length).toBeGreaterThan(2);
    expect((await paths(bot)).filter((path) => path.startsWith('/run/'))).toEqual(['/run/noop', '/run/wait']);
    expect(JSON.stringify((await api.get('/openapi.json', bot)).body)).not.toContain('circle');
    const status = (await api.post('/status_info', { fields: ['worker_status', 'task_info', 'pending_task_count'] }, bot)).body;
    expect(JSON.stringify(status)).toContain('task_info_noop');
    expect(JSON.stringify(status)).not.toContain('circle');
    for (const path of ['/run/get_circle_area', '/create/get_circle_area'])
      expect(await api.post(path, { radius: 1 }, bot)).toMatchObject({ status: 404, body: { detail: 'Not Found' } });
    expect(await api.get(`/check/get_circle_area?result_id=${id}`, bot)).toMatchObject({ status: 404, body: { detail: 'Not Found' } });
    const ghost = await api.get('/check/ghost', bot);
    const hidden = await api.get('/check/get_circle_area', bot);
    expect(hidden.status).toBe(ghost.status);
    expect(JSON.stringify(hidden.body)).toBe(JSON.stringify(ghost.body).replaceAll('ghost', 'get_circle_area'));
    expect((await api.post('/revoke', { result_id: id }, bot)).body).toMatchObject({
      status: 'FAILURE',
      message: expect.stringContaining('unknown'),
    });
  });
});

describe('keys', () => {
  const signedIn = async (authorization: string) => (await api.get('/openapi.json', { headers: { authorization } })).status;
  const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;

  test('a key is taken as Bearer and as the password of its name', async () => {
    for (const header of [`Bearer ${key}`, `bearer ${key}`, `  BEARER   ${key}  `, basic(`ci_bot:${key}`)])
      expect(await signedIn(header), header).toBe(200);
    expect((await api.post('/status_info', {}, bot)).body).toMatchObject({ username: 'ci_bot' });
  });

  test('nothing else is', async () => {
    const headers = [
      'Bearer',
      'Bearer x',
      `Bearer ${key}x`,
      `Bearer ${key.slice(0, -1)}`,
      `Bearer ${key.replace('ci_bot', 'sue')}`,
      `Bearer ${key.replace('ft_', 'FT_')}`,
      `Bearer ${expiredKey}`,
      `Bearer ${Buffer.from('root:root-secret').toString('base64')}`,
      `Basic ${key}`,
      `Token ${key}`,
      key,
      basic(`root:${key}`),
      basic('ROOT:root-secret'),
      basic('root :root-secret'),
      basic('root:root-secret '),
      basic('root:'),
      basic(':root-secret'),
      basic('__proto__:x'),
      basic('constructor:x'),
      basic(`sue:${accounts.sue.secret}`),
    ];
    for (const header of headers) expect(await signedIn(header), header).toBe(401);
  });
});

describe('brute force', () => {
  const page = (client: Client, user: string, password: string) => client.get('/openapi.json', { auth: [user, password] });
  const guesses = async (client: Client, user: string, count: number) => {
    const statuses: number[] = [];
    for (let guess = 0; guess < count; guess += 1) statuses.push((await page(client, user, `guess ${guess}`)).status);
    return statuses;
  };
  const from = (client: Client, address: string) => apiClient(client.origin, address);

  test('after ten failures a name is refused from that address, right or wrong, in every process, and nobody else is', async () => {
    const attacker = from(api, '127.0.0.2');
    expect(await guesses(attacker, 'sam', 12)).toEqual([...Array<number>(10).fill(401), 429, 429]);
    const refused = await page(attacker, ...sam.auth);
    expect(refused).toMatchObject({ status: 429, body: { detail: expect.any(String) } });
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(500);
    expect(Number(refused.headers['retry-after'])).toBeLessThanOrEqual(600);
    // The other process learns of it with the first wrong password.
    const elsewhere = from(other, '127.0.0.2');
    expect((await page(elsewhere, 'sam', 'a guess')).status).toBe(429);
    expect((await page(elsewhere, ...sam.auth)).status).toBe(429);
    expect((await page(attacker, ...sue.auth)).status).toBe(200);
    expect((await page(api, ...sam.auth)).status).toBe(200);
  });

  test('guesses sent all at once are no more than ten either', async () => {
    const attacker = from(api, '127.0.0.3');
    const answers = await Promise.all(Array.from({ length: 60 }, (_, guess) => page(attacker, 'root', `guess ${guess}`)));
    const statuses = answers.map(({ status }) => status);
    expect(statuses.filter((status) => status === 401).length).toBeLessThanOrEqual(10);
    expect(statuses.filter((status) => status === 429).length).toBeGreaterThanOrEqual(50);
    expect((await page(attacker, ...root.auth)).status).toBe(429);
  });

  test('a success forgets the failures before it', async () => {
    const client = from(api, '127.0.0.4');
    for (let round = 0; round < 3; round += 1) {
      expect(await guesses(client, 'sue', 6)).toEqual(Array<number>(6).fill(401));
      expect((await page(client, ...sue.auth)).status).toBe(200);
    }
  });

  test('a hundred failures close an address for every name', async () => {
    const attacker = from(api, '127.0.0.5');
    const names = Array.from({ length: 10 }, (_, index) => `ghost${index}`);
    for (const name of names) expect(await guesses(attacker, name, 10), name).toEqual(Array<number>(10).fill(401));
    expect((await page(attacker, ...root.auth)).status).toBe(429);
    expect((await page(from(api, '127.0.0.6'), ...root.auth)).status).toBe(200);
  });

  test('empty credentials, as old clients send them, are 401 and no failure', async () => {
    const client = from(api, '127.0.0.7');
    for (let count = 0; count < 15; count += 1) expect((await page(client, '', '')).status).toBe(401);
  });

  test('a name that was refused is let in when its account is changed', async () => {
    const client = from(api, '127.0.0.10');
    expect(await guesses(client, 'new', 11)).toEqual([...Array<number>(10).fill(401), 429]);
    writeAccounts(node.files, { ...accounts, new: { secret: hashOf('new-secret'), role: 'viewer' } });
    await noticed(client, { auth: ['new', 'new-secret'] }, 200);
    // And that success has forgotten the failures.
    expect(await guesses(client, 'new', 9)).toEqual(Array<number>(9).fill(401));
  });

  test('right credentials are checked once', async () => {
    const slow = { secret: hashOf('slow-secret', 2 ** 16), role: 'admin' };
    writeAccounts(node.files, { ...accounts, slow });
    const client = from(api, '127.0.0.8');
    await noticed(client, { auth: ['slow', 'slow-secret'] }, 200);
    // One after another, so that no two could share a check: a hundred of them would take 20 s and more.
    const began = performance.now();
    for (let count = 0; count < 100; count += 1) expect((await page(client, 'slow', 'slow-secret')).status).toBe(200);
    expect(performance.now() - began).toBeLessThan(10_000);
  });
});

describe('changes of the file', () => {
  test('hold within 10 s in every process, also for who is signed in', async () => {
    const { sue: _gone, ...rest } = accounts;
    writeAccounts(node.files, { ...rest, eve: { ...accounts.eve, secret: hashOf('another') } });
    for (const client of [api, other]) {
      await noticed(client, sue, 401);
      await noticed(client, eve, 401);
      await noticed(client, { auth: ['eve', 'another'] }, 200);
    }
    writeAccounts(node.files, accounts);
    for (const client of [api, other]) await noticed(client, sue, 200);
  });

  test('a broken record opens nothing, not even for who is signed in', async () => {
    writeAccounts(node.files, { ...accounts, eve: { ...accounts.eve, role: 'owner' } });
    for (const client of [api, other]) {
      await noticed(client, root, 503);
      await noticed(client, nobody, 503);
      expect((await client.get('/health')).status).toBe(200);
      expect((await client.get('/ready')).status).toBe(200);
    }
    const line = await node.process.waitForEvent('accounts.refused');
    expect(line).toMatchObject({ reason: expect.stringContaining('"eve"') });
    expect(node.process.output.join('\n')).not.toMatch(/scrypt\$|-secret|ft_ci_bot/);
    writeAccounts(node.files, `\uFEFF${JSON.stringify(accounts)}`);
    for (const client of [api, other]) await noticed(client, root, 200);
  });

  test('failures are counted without Redis as well', async () => {
    const attacker = apiClient(api.origin, '127.0.0.9');
    await node.redis.kill9();
    const statuses: number[] = [];
    for (let guess = 0; guess < 11; guess += 1)
      statuses.push((await attacker.get('/openapi.json', { auth: ['root', `guess ${guess}`] })).status);
    expect(statuses).toEqual([...Array<number>(10).fill(401), 429]);
    expect((await api.get('/openapi.json', root)).status).toBe(200);
  });
});
