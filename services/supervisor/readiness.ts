import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Config } from '../../shared/config.ts';
import { get, loadedTasks, type NodeAddress } from './address.ts';
import { endOfFile } from './end-of-file.ts';
import { type ListedProcess, lastLines, type Pm2, SupervisorError } from './pm2.ts';

/** Milliseconds within which a node answers after its start, or is given up. */
export const READY_WITHIN_MS = 60_000;

/** Milliseconds for which a node that answers is given to publish its first task. */
const TASKS_WITHIN_MS = 5_000;

/** Restarts of one app after which waiting for it is in vain. */
const RESTARTS_GIVEN = 3;

const ASK_EVERY_MS = 50;
const LIST_EVERY_MS = 2_000;
const LOG_LINES = 12;
const LOG_BYTES = 16_384;

export interface Waiting {
  pm2: Pm2;
  config: Config;
  address: NodeAddress | null;
  /** Which apps must run. */
  names: readonly string[];
  signal: AbortSignal;
  /** When waiting ends, in milliseconds of performance.now(). */
  deadline: number;
}

/**
 * Waits until the node answers, and gives the tasks that it serves (undefined when it does not tell).
 * @throws SupervisorError with the last lines of the failing app's log
 */
export async function untilReady(waiting: Waiting): Promise<string[] | undefined> {
  const { deadline } = waiting;
  let listAt = performance.now() + LIST_EVERY_MS;
  for (;;) {
    waiting.signal.throwIfAborted();
    if (await isReady(waiting)) break;
    if (performance.now() > listAt) {
      rejectCrashing(waiting, await waiting.pm2.list());
      listAt = performance.now() + LIST_EVERY_MS;
    }
    if (performance.now() > deadline) {
      const name = waiting.address === null ? 'consumer' : 'api';
      throw new SupervisorError(`no answer within ${READY_WITHIN_MS / 1000} s; the last lines of ${name}:\n${logOf(waiting.config, name)}`);
    }
    await delay(ASK_EVERY_MS);
  }
  return waiting.address === null ? undefined : firstTasks(waiting.address, waiting);
}

/** A worker has no address: it is ready when its consumer runs and has not been restarted for a while. */
async function isReady({ address, pm2, names }: Waiting): Promise<boolean> {
  if (address !== null) return (await get(`${address.url}/ready`))?.status === 200;
  if (!runs(await pm2.list(), names)) return false;
  await delay(1_000);
  return runs(await pm2.list(), names);
}

function runs(list: readonly ListedProcess[], names: readonly string[]): boolean {
  return names.filter((name) => name !== 'janitor').every((name) => list.some((item) => item.name === name && item.status === 'online'));
}

/** Each API process learns of the tasks by itself: all must know the same ones before a caller is sent to any of them. */
async function firstTasks(address: NodeAddress, { names, signal, config }: Waiting): Promise<string[] | undefined> {
  const deadline = performance.now() + TASKS_WITHIN_MS;
  for (;;) {
    const answers = [];
    // One after another on connections of their own, which PM2's daemon deals out in turn.
    for (let count = 0; count < 2 * config.api.processes; count += 1) answers.push(await loadedTasks(address));
    const tasks = answers.find((answer) => answer !== undefined);
    const settled = answers.every((answer) => answer !== undefined && answer.length > 0 && String(answer) === String(tasks));
    if (settled || tasks === undefined || !names.includes('consumer') || performance.now() > deadline) return tasks;
    signal.throwIfAborted();
    await delay(ASK_EVERY_MS);
  }
}

function rejectCrashing({ config }: Waiting, list: readonly ListedProcess[]): void {
  const crashing = list.find(({ name, restarts, status }) => name !== 'janitor' && status !== 'online' && restarts >= RESTARTS_GIVEN);
  if (crashing === undefined) return;
  throw new SupervisorError(`${crashing.name} ends again and again; its last lines:\n${logOf(config, crashing.name)}`);
}

function logOf({ dirs }: Config, name: string): string {
  const file = join(dirs.log, `${name}.log`);
  try {
    return `${lastLines(endOfFile(file, LOG_BYTES), LOG_LINES)}\n(${file})`;
  } catch {
    return `(no log in ${file})`;
  }
}
