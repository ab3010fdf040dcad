import { cpSync, existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { projectDir } from '../../shared/config.ts';
import { freePort } from './ports.ts';
import { run } from './processes.ts';
import { tempDir } from './temp.ts';

type Variables = Readonly<Record<string, string>>;

const listing = z.array(
  z.object({ name: z.string(), pid: z.number().optional(), pm2_env: z.object({ status: z.string(), restart_time: z.number() }) }),
);

/** A process of an installation as its PM2 lists it. */
export interface Listed {
  name: string;
  pid: number;
  status: string;
  restarts: number;
}

export type Installation = Awaited<ReturnType<typeof makeInstallation>>;

/** Milliseconds for one npm script: a first start builds, and may unpack Redis. */
const SCRIPT_WITHIN_MS = 120_000;

/**
 * A clone of this working tree in a folder of its own, with free ports. Dependencies are hard links to this tree's; there is
 * no build. `remove` ends everything that runs in it; the folder goes with the other temporary ones.
 */
export async function makeInstallation(variables: Variables = {}) {
  const dir = tempDir('clone');
  await copyTree(dir);
  const apiPort = await freePort();
  const redisPort = await freePort();
  const env: Variables = {
    API_PORT: String(apiPort),
    TASK_QUEUE_PORT: String(redisPort),
    UVICORN_WORKERS: '2',
    WORKER_CONCURRENCY: '2',
    ...variables,
  };

  const npm = (args: readonly string[], more: Variables = {}) =>
    run('npm', args, { cwd: dir, env: { ...env, ...more }, timeoutMs: SCRIPT_WITHIN_MS });

  const list = async (): Promise<Listed[]> => {
    const { output } = await npm(['run', '--silent', 'pm2', '--', 'jlist']);
    return listing
      .parse(JSON.parse(output.slice(output.indexOf('['))))
      .map(({ name, pid = 0, pm2_env }) => ({ name, pid, status: pm2_env.status, restarts: pm2_env.restart_time }));
  };

  return {
    dir,
    origin: `https://127.0.0.1:${apiPort}`,
    apiPort,
    redisPort,
    /** Runs an npm script or command to its end. */
    npm,
    /** What its PM2 lists. */
    list,
    /** Safe to call twice. */
    remove: async () => {
      await npm(['stop']);
    },
  };
}

/** Tracked files and new ones, without what git ignores. */
async function copyTree(dir: string): Promise<void> {
  const { code, output } = await run('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { cwd: projectDir });
  if (code !== 0) throw new Error(`git ls-files failed: ${output}`);
  for (const file of output.split('\n').filter((name) => existsSync(join(projectDir, name)))) {
    mkdirSync(dirname(join(dir, file)), { recursive: true });
    cpSync(join(projectDir, file), join(dir, file));
  }
  await linked(join(projectDir, 'node_modules'), join(dir, 'node_modules'));
  const unpacked = join(projectDir, 'node_modules/.cache/fasttask/redis/server');
  if (!existsSync(unpacked)) return;
  mkdirSync(join(dir, 'files/fasttask/redis'), { recursive: true });
  await linked(unpacked, join(dir, 'files/fasttask/redis/server'));
}

/** Hard links where both folders lie on one disk, copies elsewhere. */
async function linked(from: string, to: string): Promise<void> {
  for (const options of ['-al', '-a']) {
    const { code } = await run('cp', [options, from, to]);
    if (code === 0) return;
    await run('rm', ['-rf', to]);
  }
  throw new Error(`${from} could not be copied to ${to}`);
}
