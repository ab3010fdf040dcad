/** An installation of several machines on loopback: API processes and workers, each with a folder of its own, on one Redis. */
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectDir } from '../../shared/config.ts';
import { apiClient, jobOf } from '../support/https.ts';
import { freePort } from '../support/ports.ts';
import { startProcess, type TestProcess } from '../support/processes.ts';
import { type RedisWish, startRedis, type TestRedis } from '../support/redis.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';

type Variables = Readonly<Record<string, string>>;

export interface Master {
  process: TestProcess;
  api: ReturnType<typeof apiClient>;
  port: number;
  files: string;
}

export type Cluster = Awaited<ReturnType<typeof startCluster>>;

/** A tasks folder with these files: source text by name. */
export function tasksFolder(sources: Variables): string {
  const folder = tempDir('tasks');
  for (const [name, source] of Object.entries(sources)) writeFileSync(join(folder, `${name}.ts`), source);
  return folder;
}

/** A task that gives back the release of its file, after a pause; `more` are further fields of its params. */
export function releaseTask(release: number, more = ''): string {
  return `import { setTimeout as pause } from 'node:timers/promises';
import { defineTask, z } from 'fasttask';
export default defineTask({
  description: 'Release ${release}',
  params: z.object({ seconds: z.number().default(0)${more} }),
  result: z.object({ release: z.number() }),
  async run({ seconds }, ctx) {
    await pause(seconds * 1000, undefined, { signal: ctx.signal });
    return { release: ${release} };
  },
});
`;
}

/** A copy of the built project that calls itself another version. */
export function anotherRelease(version: string): string {
  const folder = tempDir('release');
  cpSync(join(projectDir, 'dist'), join(folder, 'dist'), { recursive: true });
  const manifest: object = JSON.parse(readFileSync(join(projectDir, 'package.json'), 'utf8'));
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ ...manifest, version }));
  symlinkSync(join(projectDir, 'node_modules'), join(folder, 'node_modules'));
  return folder;
}

/** Starts a service from a project's folder: this one, or one of `anotherRelease`. */
function startFrom(folder: string, service: string, env: Variables): Promise<TestProcess> {
  return startProcess(process.execPath, [join(folder, 'dist', 'services', service, 'main.js')], { name: service, env });
}

/** Starts the Redis of an installation; masters and workers are started by the test. */
export async function startCluster(common: Variables = {}, wish: RedisWish = {}) {
  const redis: TestRedis = await startRedis(wish);
  const started: TestProcess[] = [];

  /** An API process of a machine of its own; it answers when this returns, unless `ready` is false. */
  async function master(env: Variables = {}, { from = projectDir, ready = true } = {}): Promise<Master> {
    const files = env['FILES_DIR'] ?? tempDir('master');
    mkdirSync(join(files, 'fasttask', 'conf'), { recursive: true });
    const port = await freePort();
    const process = await startFrom(from, 'api', {
      NODE_TYPE: 'distributed_master',
      ...redis.env,
      REDIS_URL: redis.url,
      FILES_DIR: files,
      API_PORT: String(port),
      API_TLS: 'False',
      ...common,
      ...env,
    });
    started.push(process);
    await process.waitForEvent('api.listening', { timeoutMs: 45_000 });
    const api = apiClient(`http://127.0.0.1:${port}`);
    if (ready) await until(async () => (await api.get('/ready')).status === 200, { what: 'the API to be ready', timeoutMs: 15_000 });
    return { process, api, port, files };
  }

  /** A worker of a machine of its own; it takes jobs when this returns, unless `ready` is false. */
  async function worker(tasks: string, env: Variables = {}, { from = projectDir, ready = true } = {}): Promise<TestProcess> {
    const process = await startFrom(from, 'consumer', {
      NODE_TYPE: 'distributed_worker',
      ...redis.env,
      FILES_DIR: tempDir('worker'),
      TASKS_DIR: tasks,
      WORKER_CONCURRENCY: '2',
      ...common,
      ...env,
    });
    started.push(process);
    if (ready) await process.waitForEvent('consumer.started', { timeoutMs: 45_000 });
    return process;
  }

  return {
    redis,
    master,
    worker,
    async stop(): Promise<void> {
      await Promise.all(started.map((one) => (one.alive ? one.kill9() : one.exited)));
      await redis.stop();
    },
  };
}

/** Waits until the API knows a task. */
export async function isServed({ api }: Master, task: string, timeoutMs = 5000): Promise<void> {
  // A path that exists knows no GET.
  await until(async () => (await api.get(`/create/${task}`)).status === 405, { what: `the task ${task} to be served`, timeoutMs });
}

/** Waits until a job has this state, and gives it. */
export async function jobIs({ api }: Master, id: string, state: string, timeoutMs = 15_000): Promise<ReturnType<typeof jobOf>> {
  return await until(
    async () => {
      const job = jobOf(await api.get(`/check/${id}`));
      return job.state === state ? job : undefined;
    },
    { what: `${id} to be ${state}`, timeoutMs },
  );
}
