import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { apiClient, jobOf } from '../support/https.ts';
import { type Installation, makeInstallation } from '../support/installation.ts';
import { run } from '../support/processes.ts';
import { until } from '../support/until.ts';

let clone: Installation;

beforeAll(async () => {
  clone = await makeInstallation();
  const { code, output } = await clone.npm(['start']);
  expect(code, output).toBe(0);
});
afterAll(() => clone.remove());

it('pm2 reload api under load loses no request on a new connection', async () => {
  const outcomes: string[] = [];
  let reloading = true;
  // A new connection for each request, as the older client makes them; a program of its own, so that nothing is kept or retried.
  const client = async () => {
    while (reloading) {
      const { code, output } = await run('curl', [
        '-sk',
        '--max-time',
        '10',
        '-o',
        '/dev/null',
        '-w',
        '%{http_code}',
        '-H',
        'content-type: application/json',
        '-d',
        '{"radius":5}',
        `${clone.origin}/create/get_circle_area`,
      ]);
      outcomes.push(code === 0 ? output : `curl exit code ${code}`);
    }
  };
  const clients = [client(), client(), client()];
  await until(() => outcomes.length > 10, { what: 'the load to begin', timeoutMs: 15_000 });
  const before = (await clone.list()).filter(({ name }) => name === 'api').map(({ pid }) => pid);
  for (let round = 0; round < 2; round += 1) expect((await clone.npm(['run', 'pm2', '--', 'reload', 'api'])).code).toBe(0);
  const answeredAfter = outcomes.length;
  await until(() => outcomes.length > answeredAfter + 10, { what: 'the load to go on', timeoutMs: 15_000 });
  reloading = false;
  await Promise.all(clients);
  const after = (await clone.list()).filter(({ name }) => name === 'api').map(({ pid }) => pid);
  expect(after.filter((pid) => before.includes(pid))).toEqual([]);
  expect(outcomes.filter((outcome) => outcome !== '200')).toEqual([]);
  expect(outcomes.length).toBeGreaterThan(40);
});

it('pm2 stop consumer drains: a running job ends first', async () => {
  const api = apiClient(clone.origin);
  const { id } = jobOf(await api.post('/create/count_words', { texts: ['a b', 'c'], pauseSeconds: 1 }));
  await until(async () => jobOf(await api.get(`/check/${id}`)).state === 'STARTED', { what: 'the job to run' });
  expect((await clone.npm(['run', 'pm2', '--', 'stop', 'consumer'])).code).toBe(0);
  expect(jobOf(await api.get(`/check/${id}`))).toMatchObject({ state: 'SUCCESS', result: { words: [2, 1], complete: true } });
  expect((await clone.npm(['run', 'pm2', '--', 'start', 'consumer'])).code).toBe(0);
});

it('npm run reload serves a new task file, its documentation too, and says which file it refuses', async () => {
  const api = apiClient(clone.origin);
  const text =
    "import { defineTask, z } from 'fasttask';\n\nexport default defineTask({\n  description: 'Twice a number.',\n  params: z.object({ number: z.number() }),\n  result: z.object({ twice: z.number() }),\n  run: ({ number }) => ({ twice: 2 * number }),\n});\n";
  writeFileSync(join(clone.dir, 'tasks', 'twice.ts'), text);
  writeFileSync(join(clone.dir, 'tasks', 'unfinished.ts'), 'export const = 1;\n');
  const { code, output } = await clone.npm(['run', 'reload']);
  expect(code, output).toBe(0);
  expect(output.match(/^refused .*$/gm)).toEqual([expect.stringMatching(/^refused unfinished\.ts: .*Expected identifier/)]);
  await until(async () => (await api.post('/run/twice', { number: 4 })).status === 200, { what: 'the new task', timeoutMs: 10_000 });
  expect(jobOf(await api.post('/run/twice', { number: 4 })).result).toEqual({ twice: 8 });
  const { body } = await api.get('/openapi.json');
  expect(Object.keys((body as { paths: object }).paths)).toContain('/run/twice');
});

it('pm2 logs and describe show every app by name', async () => {
  const logs = await clone.npm(['run', 'pm2', '--', 'logs', '--nostream', '--lines', '3']);
  for (const name of ['redis', 'api', 'consumer']) expect(logs.output).toContain(`${name}.log`);
  for (const name of ['redis', 'api', 'consumer', 'janitor']) {
    expect((await clone.npm(['run', 'pm2', '--', 'describe', name])).output).toContain(`${name}.log`);
  }
});
