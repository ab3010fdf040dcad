/** A worker with a FILES_DIR of its own, beside the master of a test, and the link over which it fetches and delivers files. */
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { projectDir } from '../../shared/config.ts';
import { type CuttingProxy, startCuttingProxy } from '../support/cutting-proxy.ts';
import { startService, type TestProcess } from '../support/processes.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';
import type { ApiNode } from './api-node.ts';

const FIXTURES = 'test/fixtures/tasks';

/** What a worker runs. */
const FILE_TASKS = [`${FIXTURES}/copies_file.ts`, `${FIXTURES}/copies_file_isolated.ts`, `${FIXTURES}/packages/copy.ts`];

export interface WorkerNode {
  readonly files: string;
  readonly env: Readonly<Record<string, string>>;
  readonly link: CuttingProxy;
  readonly process: TestProcess;
  stop(): Promise<void>;
}

/** Starts a worker; the API knows its tasks when this returns. @param target the port of the API */
export async function startWorkerNode(master: ApiNode, more: Record<string, string> = {}, target = master.port): Promise<WorkerNode> {
  const link = await startCuttingProxy(target);
  const files = tempDir('worker');
  const tasks = tempDir('tasks');
  mkdirSync(join(tasks, 'packages'));
  for (const file of FILE_TASKS) cpSync(join(projectDir, file), join(tasks, file.slice(FIXTURES.length)));
  const env = {
    ...master.env,
    NODE_TYPE: 'distributed_worker',
    FILES_DIR: files,
    TASKS_DIR: tasks,
    MASTER_API_URL: `https://127.0.0.1:${link.port}`,
    LOG_LEVEL: 'debug',
    ...more,
  };
  const process = await startService('consumer', env, { name: 'worker' });
  await process.waitForEvent('consumer.started', { timeoutMs: 45_000 });
  for (const task of ['copies_file', 'copies_file_isolated'])
    await until(async () => (await master.api.get(`/create/${task}`)).status === 405, { what: `the task ${task} to be known` });
  return {
    files,
    env,
    link,
    process,
    async stop() {
      if (process.alive) await process.kill9();
      await link.stop();
    },
  };
}
