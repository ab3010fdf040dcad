import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { projectDir } from '../../shared/config.ts';
import { run } from '../support/processes.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';
import { type ApiNode, startApiNode } from './api-node.ts';

/** What bootstrap.mjs does for `npm run user`, without its look for a newer build. */
const program = `
import { run } from ${JSON.stringify(pathToFileURL(join(projectDir, 'dist/services/supervisor/main.js')).href)};
process.exitCode = await run('user', process.argv.slice(1), process.env, new AbortController().signal);
`;

let env: Record<string, string>;

const fileOf = (files: string) => join(files, 'fasttask/conf/user_to_passwd.json');
const records = () => JSON.parse(readFileSync(fileOf(env['FILES_DIR'] ?? ''), 'utf8')) as Record<string, unknown>;

const user = (...args: string[]) => run(process.execPath, ['--input-type=module', '-e', program, '--', ...args], { env });

/** The same with a line at its standard input. */
const userWith = (line: string, ...args: string[]) =>
  run('sh', ['-c', 'printf "%s\\n" "$LINE" | "$@"', 'sh', process.execPath, '--input-type=module', '-e', program, '--', ...args], {
    env: { ...env, LINE: line },
  });

beforeEach(() => {
  env = { FILES_DIR: tempDir('files') };
});

test('it adds, lists and removes, and leaves the other records as they are', async () => {
  expect(await user('list')).toMatchObject({ code: 0, output: expect.stringMatching(/^no accounts/) });
  const first = await userWith('a päss word', 'add', 'ann', '--role', 'admin');
  expect(first).toMatchObject({ code: 0, output: expect.stringContaining('from now on everybody must sign in') });
  expect(first.output).not.toContain('päss');
  expect(statSync(fileOf(env['FILES_DIR'] ?? '')).mode & 0o777).toBe(0o600);
  writeFileSync(fileOf(env['FILES_DIR'] ?? ''), JSON.stringify({ ...records(), 'old one': 'plain' }));
  const made = await user('add', '__proto__', '--tasks', 'noop, wait', '--expires', '2099-01-31');
  expect(made).toMatchObject({ code: 0, output: expect.stringMatching(/shown this once: \S{20,}$/) });
  const { ann } = records();
  const key = await user('key', 'ci_bot', '--role', 'viewer', '--expires', '90d');
  expect(key.output).toMatch(/^ft_ci_bot_[0-9a-f]{48}$/m);
  const now = records();
  expect(Object.keys(now)).toEqual(['ann', 'old one', '__proto__', 'ci_bot']);
  expect([now['ann'], now['old one']]).toEqual([ann, 'plain']);
  expect(Object.getOwnPropertyDescriptor(now, '__proto__')?.value).toMatchObject({
    role: 'submitter',
    tasks: ['noop', 'wait'],
    expires: '2099-01-31',
  });
  const listed = (await user('list')).output;
  for (const line of [
    /^ann +admin$/m,
    /^old one +admin +plain password$/m,
    /^__proto__ +submitter +tasks noop, wait; until 2099/m,
    /^ci_bot +viewer/m,
  ])
    expect(listed).toMatch(line);
  expect(JSON.stringify(now) + listed).not.toContain(/ft_ci_bot_\w+/.exec(key.output)?.[0]);
  for (const name of ['ann', 'old one', '__proto__']) expect((await user('revoke', name)).code, name).toBe(0);
  expect(await user('revoke', 'ci_bot')).toMatchObject({ code: 0, output: expect.stringContaining('no account is left') });
  expect(records()).toEqual({});
});

test('it refuses in one line and changes nothing', async () => {
  await userWith('secret', 'add', 'ann');
  const before = records();
  const cases: readonly (readonly [args: readonly string[], says: RegExp])[] = [
    [[], /expected add NAME/],
    [['frob'], /got frob/],
    [['add'], /add needs a name/],
    [['add', 'ann'], /ann exists/],
    [['key', 'ann'], /ann exists/],
    [['add', 'a b'], /name a b: expected/],
    [['add', 'a:b'], /name a:b: expected/],
    [['add', ''], /name : expected|needs a name/],
    [['add', 'x'.repeat(65)], /name x+: expected/],
    [['add', 'Anonymous'], /another name/],
    [['add', 'bob', 'eve'], /eve/],
    [['add', 'bob', '--role', 'root'], /role.*root/],
    [['add', 'bob', '--tasks', ''], /--tasks/],
    [['add', 'bob', '--tasks', 'a/b'], /--tasks a\/b/],
    [['add', 'bob', '--expires', '2020-01-01'], /--expires 2020-01-01/],
    [['add', 'bob', '--expires', 'soon'], /--expires soon/],
    [['add', 'bob', '--frob'], /--frob.*expected --role/],
    [['revoke', 'bob'], /there is no account bob/],
  ];
  for (const [args, says] of cases) {
    const { code, output } = await user(...args);
    expect([args, code, output.split('\n').length]).toEqual([args, 1, 1]);
    expect(output).toMatch(says);
  }
  expect(records()).toEqual(before);
  expect((await userWith('another', 'add', 'ann', '--replace')).code).toBe(0);
  expect(records()).not.toEqual(before);
});

test('a broken file is named and not written over', async () => {
  await user('key', 'ci');
  const file = fileOf(env['FILES_DIR'] ?? '');
  writeFileSync(file, '{"ann":{"role":"admin","secret":"hunter2"}}');
  for (const args of [['list'], ['key', 'bob'], ['revoke', 'ann']]) {
    const { code, output } = await user(...args);
    expect([code, output]).toEqual([1, expect.stringMatching(/user_to_passwd\.json: the record of "ann": expected a secret/)]);
    expect(output).not.toContain('hunter2');
  }
  expect(readFileSync(file, 'utf8')).toContain('hunter2');
  expect(existsSync(`${file}.new`)).toBe(false);
});

test('commands at the same time lose no record', async () => {
  const names = ['a', 'b', 'c', 'd', 'e'];
  const ends = await Promise.all(names.map((name) => user('key', name)));
  expect(ends.map(({ code }) => code)).toEqual(names.map(() => 0));
  expect(Object.keys(records()).sort()).toEqual(names);
});

let node: ApiNode;
beforeAll(async () => {
  node = await startApiNode();
});
afterAll(() => node.stop());

test('who was added signs in within 10 s, and who was removed does not', async () => {
  env = { ...node.env };
  const status = async (authorization: string) => (await node.api.get('/openapi.json', { headers: { authorization } })).status;
  const becomes = (authorization: string, wanted: number) =>
    until(async () => (await status(authorization)) === wanted, { what: `${wanted}`, timeoutMs: 10_000, everyMs: 500 });
  const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;
  expect((await userWith('päss:wörd', 'add', 'ann', '--role', 'admin')).code).toBe(0);
  await becomes('', 401);
  await becomes(basic('ann:päss:wörd'), 200);
  const { output } = await user('key', 'ci');
  const key = /^ft_ci_\w+$/m.exec(output)?.[0] ?? '';
  await becomes(`Bearer ${key}`, 200);
  await becomes(basic(`ci:${key}`), 200);
  await user('revoke', 'ci');
  await becomes(`Bearer ${key}`, 401);
  expect(await status(basic('ann:päss:wörd'))).toBe(200);
}, 60_000);
