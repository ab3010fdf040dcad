import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { projectDir } from '../../shared/config.ts';
import { apiClient, jobOf } from '../support/https.ts';
import { type Installation, makeInstallation } from '../support/installation.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';

/** One clone, two nodes: each with folders, PM2 and ports of its own. */
let clone: Installation;
let master: Record<string, string>;
let worker: Record<string, string>;

const PASSWORD = 'a password with "quotes" & spaces';

beforeAll(async () => {
  clone = await makeInstallation();
  const [masterFiles, workerFiles, workerTasks] = [tempDir('master'), tempDir('worker'), tempDir('tasks')];
  // Only the worker has tasks: the master learns them from the registry.
  mkdirSync(join(workerTasks, 'packages'));
  for (const file of ['get_circle_area.ts', 'get_hypotenuse.ts', 'packages/geometry.ts'])
    cpSync(join(projectDir, 'tasks', file), join(workerTasks, file));
  master = { NODE_TYPE: 'distributed_master', MASTER_HOST: '127.0.0.1', TASK_QUEUE_PASSWD: PASSWORD, FILES_DIR: masterFiles };
  worker = {
    NODE_TYPE: 'distributed_worker',
    MASTER_HOST: '127.0.0.1',
    TASK_QUEUE_PASSWD: PASSWORD,
    FILES_DIR: workerFiles,
    TASKS_DIR: workerTasks,
  };
});

afterAll(async () => {
  for (const node of [worker, master]) await clone.npm(['stop'], node);
});

it('a worker started before its master waits for it; then the master serves the tasks that it learns', async () => {
  const started = await Promise.all([clone.npm(['start'], worker), clone.npm(['start'], master)]);
  for (const { code, output } of started) expect(code, output).toBe(0);
  const api = apiClient(clone.origin);
  await until(async () => (await api.post('/create/get_hypotenuse', { a: 3, b: 4 })).status === 200, {
    what: 'the worker’s tasks to be served',
    timeoutMs: 10_000,
  });
  expect(jobOf(await api.post('/run/get_circle_area', { radius: 5 }))).toMatchObject({
    state: 'SUCCESS',
    result: { area: 78.53981633974483 },
  });
  expect(jobOf(await api.post('/run/get_hypotenuse', { a: 3, b: 4 }))).toMatchObject({ state: 'SUCCESS', result: { hypotenuse: 5 } });
});

it('each node runs its own apps', async () => {
  const names = async (node: Record<string, string>) => {
    const { output } = await clone.npm(['run', '--silent', 'pm2', '--', 'jlist'], node);
    const list = JSON.parse(output.slice(output.indexOf('['))) as { name: string }[];
    return [...new Set(list.map(({ name }) => name))].sort();
  };
  expect(await names(master)).toEqual(['api', 'janitor', 'redis']);
  expect(await names(worker)).toEqual(['consumer', 'janitor']);
});

it('jobs wait on the master while the worker is away', async () => {
  const api = apiClient(clone.origin);
  await clone.npm(['stop'], worker);
  const { id } = jobOf(await api.post('/create/get_circle_area', { radius: 1 }));
  expect(jobOf(await api.get(`/check/${id}`)).state).toBe('PENDING');
  await clone.npm(['start'], worker);
  await until(async () => jobOf(await api.get(`/check/${id}`)).state === 'SUCCESS', { what: 'the waiting job to run', timeoutMs: 15_000 });
});
