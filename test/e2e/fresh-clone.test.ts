import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { expect, test } from 'vitest';
import { folderWithRedis, freshClone, pathWithoutRedis } from '../support/clone.ts';
import { canListen, freePort } from '../support/ports.ts';
import { run } from '../support/processes.ts';
import { tempDir } from '../support/temp.ts';

// Only with FASTTASK_FRESH=1, as in .ci/run: it installs the dependencies and unpacks Redis from the network.
const MINUTES = 60_000;
const project = freshClone();
const path = pathWithoutRedis();

/** Starts the clone with `npm start`, pastes the curl line that it printed, and stops it again. */
async function startAndStop(more: Record<string, string>): Promise<{ started: string; answer: string }> {
  const [api, redis] = [await freePort(), await freePort()];
  const launch = {
    cwd: project,
    env: { PATH: path, API_PORT: String(api), TASK_QUEUE_PORT: String(redis), ...more },
    timeoutMs: 5 * MINUTES,
  };
  const npm = (command: string) => run('npm', [command], { name: `npm ${command}`, ...launch });
  const seen = { started: '', answer: '' };
  let stopped: Awaited<ReturnType<typeof npm>>;
  try {
    const start = await npm('start');
    expect(start.code, start.output).toBe(0);
    const line = start.output.split('\n').find((text) => text.trim().startsWith('curl '));
    expect(line, start.output).toBeDefined();
    seen.started = start.output;
    seen.answer = (await run('sh', ['-c', `${line} --silent --show-error`], launch)).output;
  } finally {
    stopped = await npm('stop');
  }
  expect(stopped.code, stopped.output).toBe(0);
  expect([await canListen(api), await canListen(redis)]).toEqual([true, true]);
  return seen;
}

test(
  'npm start in a fresh clone, with neither dependencies nor Redis, ends in a service that answers',
  async () => {
    const { answer } = await startAndStop({});
    expect(JSON.parse(answer)).toMatchObject({ state: 'SUCCESS', result: { area: 78.53981633974483 } });
    expect(existsSync(join(project, 'files', 'fasttask', 'redis'))).toBe(true);
  },
  6 * MINUTES,
);

test(
  'a Redis on the PATH is taken as it is, and nothing is unpacked',
  async () => {
    const files = join(tempDir('files'), 'files');
    const { started, answer } = await startAndStop({ FILES_DIR: files, PATH: [await folderWithRedis(), path].join(delimiter) });
    expect(JSON.parse(answer)).toMatchObject({ state: 'SUCCESS' });
    expect(started).not.toMatch(/unpacking/);
    expect(existsSync(join(files, 'fasttask', 'redis', 'server'))).toBe(false);
  },
  3 * MINUTES,
);
