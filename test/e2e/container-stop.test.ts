/** What `docker stop` does, without an engine: the container's own start command on this machine, and SIGTERM. */
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { projectDir } from '../../shared/config.ts';
import { apiClient, jobOf } from '../support/https.ts';
import { freePort } from '../support/ports.ts';
import { startProcess, type TestProcess } from '../support/processes.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';

/** Writes a line when it begins and one when it has ended, so that a second run would be seen. */
const diary = `import { appendFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { defineTask, z } from 'fasttask';

export default defineTask({
  description: 'Keeps a diary',
  params: z.object({ file: z.string(), seconds: z.number() }),
  result: z.object({ kept: z.boolean() }),
  async run({ file, seconds }) {
    appendFileSync(file, 'began\\n');
    await pause(seconds * 1000);
    appendFileSync(file, 'ended\\n');
    return { kept: true };
  },
});
`;

const tasks = tempDir('tasks');
const singleFiles = tempDir('files');
const nodes: TestProcess[] = [];
let shared: Readonly<Record<string, string>>;
let api: ReturnType<typeof apiClient>;

beforeAll(async () => {
  for (const name of ['on_single_node', 'on_worker']) writeFileSync(join(tasks, `${name}.ts`), diary);
  const apiPort = await freePort();
  api = apiClient(`https://127.0.0.1:${apiPort}`);
  shared = {
    FASTTASK_DIR: projectDir,
    TASKS_DIR: tasks,
    API_HOST: '127.0.0.1',
    API_PORT: String(apiPort),
    TASK_QUEUE_PORT: String(await freePort()),
    UVICORN_WORKERS: '1',
    WORKER_CONCURRENCY: '1',
  };
  // Where no Redis is on the PATH, the tests have unpacked one.
  const unpacked = join(projectDir, 'node_modules/.cache/fasttask/redis/server');
  if (!existsSync(unpacked)) return;
  mkdirSync(join(singleFiles, 'fasttask/redis'), { recursive: true });
  symlinkSync(unpacked, join(singleFiles, 'fasttask/redis/server'));
});
afterAll(async () => {
  for (const node of nodes.toReversed()) await node.stop(60_000);
});

async function startNode(variables: Readonly<Record<string, string>>): Promise<TestProcess> {
  // As in the image, a short folder that belongs to this node alone.
  const env = { ...shared, PM2_HOME: tempDir('pm2'), ...variables };
  const node = await startProcess('sh', ['deploy/container/fasttask'], { name: variables['NODE_TYPE'] ?? 'node', env });
  nodes.push(node);
  return node;
}

const startSingle = () => startNode({ NODE_TYPE: 'single_node', FILES_DIR: singleFiles, ENABLED_TASKS: 'on_single_node' });

const startWorker = () =>
  startNode({
    NODE_TYPE: 'distributed_worker',
    FILES_DIR: tempDir('files'),
    MASTER_HOST: '127.0.0.1',
    TASK_QUEUE_PASSWD: 'passwd',
    ENABLED_TASKS: 'on_worker',
  });

it('a single node that is told to stop lets its running job end first', async () => {
  const node = await startSingle();
  const { id, file } = await runningJob('on_single_node', 3);
  expect(await node.stop(50_000)).toEqual({ code: 0, signal: null });
  await startSingle();
  await untilDone(id);
  expect(readFileSync(file, 'utf8')).toBe('began\nended\n');
});

it('a worker that is told to stop has longer for it than the 8 s after which PM2 ends a node of which nothing is online', async () => {
  const worker = await startWorker();
  const { id, file } = await runningJob('on_worker', 13);
  expect(await worker.stop(50_000)).toEqual({ code: 0, signal: null });
  expect(readFileSync(file, 'utf8')).toBe('began\nended\n');
  await untilDone(id);
});

async function runningJob(task: string, seconds: number) {
  const file = join(tasks, `${task}.diary`);
  const serves = async () => JSON.stringify((await api.get('/openapi.json')).body).includes(`/create/${task}`);
  await until(serves, { what: `${task} to be served`, timeoutMs: 60_000 });
  const { id } = jobOf(await api.post(`/create/${task}`, { file, seconds }));
  await until(() => existsSync(file), { what: 'the job to run', timeoutMs: 20_000 });
  return { id, file };
}

async function untilDone(id: string): Promise<void> {
  const done = async () => jobOf(await api.get(`/check/${id}`)).state === 'SUCCESS';
  await until(done, { what: 'the job to be known as done', timeoutMs: 60_000 });
}
