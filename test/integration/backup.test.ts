import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { prepare } from '../../services/supervisor/preparation.ts';
import { loadConfig, projectDir, SECRETS_FILE_VARIABLE } from '../../shared/config.ts';
import { apiClient, jobOf } from '../support/https.ts';
import { filePart, multipartBody } from '../support/multipart.ts';
import { freePort } from '../support/ports.ts';
import { run, startProcess, startService, type TestProcess } from '../support/processes.ts';
import { redisProgram } from '../support/redis.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';

/** What bootstrap.mjs does for `npm run backup`, without its look for a newer build. */
const program = `
import { run } from ${JSON.stringify(pathToFileURL(join(projectDir, 'dist/services/supervisor/main.js')).href)};
process.exitCode = await run(process.argv[1], process.argv.slice(2), process.env, new AbortController().signal);
`;

const TASKS = ['noop', 'count_file_words'];

type Node = Awaited<ReturnType<typeof makeNode>>;

const everyNode: TestProcess[][] = [];

afterEach(async () => {
  for (const running of everyNode.splice(0)) await stopAll(running);
});

/** A single node in an empty folder, with the Redis and the settings that `npm start` gives it; its services run without PM2. */
async function makeNode(more: Record<string, string> = {}) {
  const dir = tempDir('node');
  const tasks = join(dir, 'tasks');
  mkdirSync(tasks);
  cpSync(join(projectDir, 'test/fixtures/tasks/noop.ts'), join(tasks, 'noop.ts'));
  cpSync(join(projectDir, 'tasks/count_file_words.ts'), join(tasks, 'count_file_words.ts'));
  const apiPort = await freePort();
  const env = {
    NODE_TYPE: 'single_node',
    FILES_DIR: join(dir, 'files'),
    TASKS_DIR: tasks,
    PM2_HOME: join(dir, 'pm2'),
    API_PORT: String(apiPort),
    TASK_QUEUE_PORT: String(await freePort()),
    TASK_QUEUE_PASSWD: `not the other's ${apiPort}`,
    ...more,
  };
  const command = (name: string, ...args: string[]) =>
    run(process.execPath, ['--input-type=module', '-e', program, '--', name, ...args], { env, timeoutMs: 60_000 });
  const running: TestProcess[] = [];
  everyNode.push(running);
  let password = '';
  const start = async (service: string, event: string) => {
    const started = await startService(service, { ...env, [SECRETS_FILE_VARIABLE]: join(env.FILES_DIR, 'fasttask/conf/secrets.json') });
    running.push(started);
    await started.waitForEvent(event, { timeoutMs: 45_000 });
    return started;
  };
  return {
    env,
    files: env.FILES_DIR,
    running,
    /** What ann signs in with. */
    auth: (): readonly [string, string] => ['ann', password],
    signIn: (given: string) => {
      password = given;
    },
    api: apiClient(`https://127.0.0.1:${apiPort}`),
    command,
    startConsumer: () => start('consumer', 'consumer.started'),
    async start() {
      const { apps } = await prepare(loadConfig(env), env, redisProgram, () => undefined);
      const redis = apps.find(({ name }) => name === 'redis');
      const server = await startProcess(redis?.script ?? '', [redis?.args ?? ''], { name: 'redis', env: redis?.env ?? {} });
      running.push(server);
      await server.waitForOutput(/Ready to accept connections/);
      await start('api', 'api.listening');
    },
  };
}

/** Ends them in the other order: the services before their Redis. */
async function stopAll(running: TestProcess[]): Promise<void> {
  for (const one of running.splice(0).reverse()) await one.stop();
}

const statusOf = async (node: Node, path: string) => (await node.api.get(path, { auth: node.auth() })).status;

const listed = async (archive: string) => (await run('tar', ['-tzf', archive])).output.split('\n');

const modeOf = (file: string) => statSync(file).mode & 0o777;

test('what a running node has acknowledged and keeps is there after it was restored elsewhere, and only there', async () => {
  const node = await makeNode();
  await node.start();
  node.signIn(/shown this once: (\S+)/.exec((await node.command('user', 'add', 'ann', '--role', 'admin')).output)?.[1] ?? '');
  await until(async () => (await statusOf(node, '/openapi.json')) === 200, { what: 'the account to be noticed', timeoutMs: 10_000 });
  const consumer = await node.startConsumer();
  for (const task of TASKS)
    await until(async () => (await statusOf(node, `/create/${task}`)) === 405, { what: `${task} to be known`, timeoutMs: 20_000 });
  const auth = { auth: node.auth() };
  const { body, headers } = multipartBody([filePart('f.txt', 'five words are in it')]);
  const { file_name: name } = (await node.api.post('/upload', body, { ...auth, headers })).body as { file_name: string };
  const done = jobOf(await node.api.post('/run/noop', {}, auth));
  await consumer.stop();

  const create = async (task: string, params: object) => jobOf(await node.api.post(`/create/${task}`, params, auth)).id;
  const counted = await create('count_file_words', { file_name: name });
  const ids: string[] = [];
  let submitting = true;
  const load = (async () => {
    while (submitting) ids.push(await create('noop', {}));
  })();
  await until(() => ids.length > 20, { what: 'jobs to wait' });
  const acknowledged = ids.length;
  const archive = join(tempDir('backup'), 'all.tar.gz');
  const saved = await node.command('backup', 'save', archive, '--files');
  submitting = false;
  await load;
  expect(saved).toMatchObject({ code: 0, output: expect.stringMatching(/the queue, the accounts, the certificate, 1 files$/) });
  expect(ids.length).toBeGreaterThan(acknowledged);
  expect(modeOf(archive)).toBe(0o600);
  expect((await listed(archive)).filter((path) => !path.endsWith('/')).sort()).toEqual(
    [
      './backup.json',
      './fasttask/conf/user_to_passwd.json',
      `./fasttask/file_records/${name}.json`,
      './fasttask/redis/data/appendonly.aof',
      './fasttask/ssl_cert/cert.pem',
      './fasttask/ssl_cert/key.pem',
      `./${name}`,
    ].sort(),
  );
  expect(readdirSync(join(node.files, 'fasttask'))).not.toContain('backup');
  expect(readdirSync(join(node.files, 'fasttask/redis/data'))).toEqual(['appendonlydir']);
  const late = await create('noop', {});

  const other = await makeNode();
  expect(await other.command('backup', 'restore', archive)).toMatchObject({
    code: 0,
    output: expect.stringContaining('the queue, the accounts'),
  });
  for (const file of ['conf/user_to_passwd.json', 'ssl_cert/key.pem', 'redis/data/appendonly.aof'])
    expect([file, modeOf(join(other.files, 'fasttask', file)) & 0o077]).toEqual([file, 0]);
  other.signIn(node.auth()[1]);
  await other.start();
  expect(readFileSync(join(other.files, 'fasttask/ssl_cert/cert.pem'), 'utf8')).toBe(
    readFileSync(join(node.files, 'fasttask/ssl_cert/cert.pem'), 'utf8'),
  );
  const check = async (id: string) => await other.api.get(`/check/${id}`, auth);
  expect(jobOf(await check(done.id)).state).toBe('SUCCESS');
  expect((await check(late)).status).toBe(404);
  expect((await other.api.get(`/check/${done.id}`)).status).toBe(401);
  await other.startConsumer();
  const succeeds = (id: string) =>
    until(
      async () => {
        const job = jobOf(await check(id));
        return job.state === 'SUCCESS' ? job : undefined;
      },
      { what: `${id} to succeed`, timeoutMs: 20_000 },
    );
  for (const id of ids.slice(0, acknowledged)) await succeeds(id);
  expect((await succeeds(counted)).result).toMatchObject({ words: 5 });
  expect(await other.api.get(`/download?file_name=${name}`, auth)).toMatchObject({ status: 200, body: 'five words are in it' });

  const again = await other.command('backup', 'restore', archive);
  expect(again).toMatchObject({ code: 1, output: expect.stringMatching(/^\S+ has a queue: expected an installation without data.*$/) });
  await stopAll(other.running);
  expect((await other.command('backup', 'restore', archive)).output).toBe(again.output);
  await stopAll(node.running);
  const down = await node.command('backup', 'save', join(tempDir('backup'), 'x.tar.gz'));
  expect(down).toMatchObject({
    code: 1,
    output: expect.stringMatching(/^Redis at 127\.0\.0\.1:\d+: .*; a backup is made of a node that runs$/),
  });
}, 180_000);

test('it refuses in one line what it cannot do, and leaves everything as it was', async () => {
  const node = await makeNode({ REDIS_URL: 'redis://127.0.0.1:1' });
  const dir = tempDir('backup');
  const file = (name: string) => join(dir, name);
  mkdirSync(join(node.files, 'fasttask/conf'), { recursive: true });
  writeFileSync(join(node.files, 'fasttask/conf/user_to_passwd.json'), '{"ann":"secret"}');
  expect(await node.command('backup', 'save', file('a.tar.gz'))).toMatchObject({
    code: 0,
    output: expect.stringMatching(/^the queue is not in it: REDIS_URL.*\nsaved in \S+ \(\d+ bytes\): the accounts$/),
  });
  expect(await listed(file('a.tar.gz'))).not.toContain('./fasttask/redis/data/appendonly.aof');
  writeFileSync(file('no-archive'), 'text');
  const whole = readFileSync(file('a.tar.gz'));
  writeFileSync(file('cut.tar.gz'), whole.subarray(0, whole.length / 2));
  mkdirSync(file('foreign/fasttask/conf'), { recursive: true });
  writeFileSync(file('foreign/fasttask/conf/secrets.json'), '{}');
  await run('tar', ['-czf', file('foreign.tar.gz'), '-C', file('foreign'), '.']);
  writeFileSync(file('foreign/backup.json'), '{"format":1}');
  await run('tar', ['-czf', file('secrets.tar.gz'), '-C', file('foreign'), '.']);
  writeFileSync(file('foreign/backup.json'), '{"format":2}');
  await run('tar', ['-czf', file('later.tar.gz'), '-C', file('foreign'), '.']);
  const cases: readonly (readonly [args: readonly string[], says: RegExp])[] = [
    [[], /expected save FILE/],
    [['save'], /got save$/],
    [['keep', 'x'], /got keep x$/],
    [['restore', file('a.tar.gz'), '--files'], /expected save FILE/],
    [['save', file('b'), '--frob'], /--frob.*expected save FILE/],
    [['save', file('a.tar.gz')], /exists: expected a new file/],
    [['save', file('nowhere/b')], /nowhere is no folder/],
    [['save', join(node.files, 'b.tar.gz')], /lies in FILES_DIR, which is served/],
    [['restore', file('missing')], /missing/],
    [['restore', file('no-archive')], /tar failed: gzip: stdin: not in gzip format/],
    [['restore', file('cut.tar.gz')], /tar failed: gzip: stdin: unexpected end of file/],
    [['restore', file('foreign.tar.gz')], /expected a backup of FastTask/],
    [['restore', file('secrets.tar.gz')], /no backup of FastTask: it has fasttask\/conf\/secrets\.json/],
    [['restore', file('later.tar.gz')], /format 2: expected 1/],
    [['restore', file('a.tar.gz')], /user_to_passwd\.json exists: expected an installation without data/],
  ];
  for (const [args, says] of cases) {
    const { code, output } = await node.command('backup', ...args);
    expect([args, code, output.split('\n').length, output]).toEqual([args, 1, 1, expect.stringMatching(says)]);
  }
  expect(readdirSync(dir).filter((name) => name.startsWith('b'))).toEqual([]);
  expect(readdirSync(join(node.files, 'fasttask'))).toEqual(['conf']);
  expect(readdirSync(join(node.files, 'fasttask/conf'))).toEqual(['user_to_passwd.json']);
  mkdirSync(join(node.files, 'fasttask/backup'));
  expect((await node.command('backup', 'save', file('b'))).output).toMatch(/another backup is under way.*fasttask\/backup$/);
  expect(existsSync(join(node.files, 'fasttask/backup'))).toBe(true);
  const worker = await makeNode({ NODE_TYPE: 'distributed_worker', MASTER_HOST: '127.0.0.1' });
  expect((await worker.command('backup', 'save', file('b'))).output).toMatch(/^a worker keeps nothing/);
}, 120_000);

test('through the standard output and input, as out of a container', async () => {
  const node = await makeNode({ REDIS_URL: 'redis://127.0.0.1:1' });
  mkdirSync(join(node.files, 'fasttask/conf'), { recursive: true });
  // Somebody else's configuration may be linked there.
  const accounts = join(tempDir('accounts'), 'accounts.json');
  writeFileSync(accounts, '{"ann":"secret"}');
  symlinkSync(accounts, join(node.files, 'fasttask/conf/user_to_passwd.json'));
  writeFileSync(join(node.files, 'seen.txt'), 'file');
  symlinkSync('/etc/passwd', join(node.files, 'link'));
  const other = await makeNode({ REDIS_URL: 'redis://127.0.0.1:1' });
  const archive = join(tempDir('backup'), 'a.tar.gz');
  const through = (where: Node, shell: string) =>
    run('sh', ['-c', shell, archive, process.execPath, '--input-type=module', '-e', program, '--', 'backup'], { env: where.env });
  expect(await through(node, '"$@" save - --files >"$0"')).toMatchObject({
    code: 0,
    output: expect.stringMatching(/saved: the accounts, 1 files$/),
  });
  expect(await through(other, '"$@" restore - <"$0"')).toMatchObject({ code: 0 });
  expect(readFileSync(join(other.files, 'fasttask/conf/user_to_passwd.json'), 'utf8')).toBe('{"ann":"secret"}');
  expect(readdirSync(other.files).sort()).toEqual(['fasttask', 'seen.txt']);
}, 60_000);
