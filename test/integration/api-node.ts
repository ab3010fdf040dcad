/** A node for the API's tests: Redis, the API over HTTPS, and a consumer where one is wanted. */
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { ensureCertificate } from '../../shared/certificate.ts';
import { projectDir } from '../../shared/config.ts';
import { apiClient, jobOf } from '../support/https.ts';
import { freePort } from '../support/ports.ts';
import { startService, type TestProcess } from '../support/processes.ts';
import { type RedisWish, startRedis, type TestRedis } from '../support/redis.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';

/** Those of them that lie in the project's own tasks folder. */
const EXAMPLES = ['count_file_words', 'get_circle_area'];

/** The tasks that the consumer of a node loads. */
export const TASKS = ['count_file_words', 'crowded', 'get_circle_area', 'misbehave', 'noop', 'redos', 'spin', 'talks', 'tree', 'wait'];

type ApiClient = ReturnType<typeof apiClient>;

export interface ApiNode {
  readonly redis: TestRedis;
  readonly env: Readonly<Record<string, string>>;
  readonly files: string;
  readonly port: number;
  readonly api: ApiClient;
  readonly process: TestProcess;
  /** Another API process on a port of its own, on the same Redis. */
  anotherApi(env: Record<string, string>): Promise<{ api: ApiClient; process: TestProcess; port: number }>;
  startConsumer(): Promise<TestProcess>;
  /** Asks until the job is in one of the states. */
  reaches(id: string, ...states: string[]): Promise<ReturnType<typeof jobOf>>;
  stop(): Promise<void>;
}

/** Starts Redis and the API; the API answers when this returns. */
export async function startApiNode(more: Record<string, string> = {}, wish: RedisWish = {}): Promise<ApiNode> {
  const redis = await startRedis(wish);
  const files = tempDir('files');
  const tasks = join(files, 'tasks');
  mkdirSync(tasks);
  for (const name of TASKS) {
    const folder = EXAMPLES.includes(name) ? 'tasks' : 'test/fixtures/tasks';
    cpSync(join(projectDir, folder, `${name}.ts`), join(tasks, `${name}.ts`));
  }
  const ssl = join(files, 'fasttask', 'ssl_cert');
  for (const folder of ['conf', 'ssl_cert']) mkdirSync(join(files, 'fasttask', folder), { recursive: true });
  await ensureCertificate({ keyFile: join(ssl, 'key.pem'), certFile: join(ssl, 'cert.pem'), apiHost: '127.0.0.1' });
  const env = {
    NODE_TYPE: 'single_node',
    FILES_DIR: files,
    TASKS_DIR: tasks,
    ...redis.env,
    WORKER_CONCURRENCY: '2',
    SOFT_TIME_LIMIT: '20',
    TIME_LIMIT: '25',
    ...more,
  };
  const started: TestProcess[] = [];
  const startApi = async (own: Record<string, string>) => {
    const port = await freePort();
    const process = await startService('api', { ...env, API_PORT: String(port), ...own });
    started.push(process);
    await process.waitForEvent('api.listening', { timeoutMs: 45_000 });
    return { api: apiClient(`${own['API_TLS'] === 'False' ? 'http' : 'https'}://127.0.0.1:${port}`), process, port };
  };
  const { api, process, port } = await startApi({});
  await until(async () => (await api.get('/ready')).status === 200, { what: 'the API to be ready' });
  return {
    redis,
    env,
    files,
    port,
    api,
    process,
    anotherApi: startApi,
    async startConsumer() {
      const consumer = await startService('consumer', env);
      started.push(consumer);
      const { tasks: names } = await consumer.waitForEvent('consumer.started', { timeoutMs: 45_000 });
      // A path that exists knows no GET; each task is published by itself.
      const isKnown = async (name: unknown) => (await api.get(`/create/${name}`)).status === 405;
      for (const name of Array.isArray(names) ? names : []) await until(() => isKnown(name), { what: `the task ${name} to be known` });
      return consumer;
    },
    reaches: (id, ...states) =>
      until(
        async () => {
          const job = jobOf(await api.get(`/check/${id}`));
          return states.includes(job.state) ? job : undefined;
        },
        { what: `${id} to be ${states.join(' or ')}`, timeoutMs: 10_000 },
      ),
    async stop() {
      await Promise.all(started.map((one) => (one.alive ? one.kill9() : one.exited)));
      await redis.stop();
    },
  };
}
