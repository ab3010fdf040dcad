/** What is left of a run: waits until everything has come to rest, and looks in every corner. */
import { readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { taskKeys } from '../../shared/job-scripts.ts';
import { jobOf } from '../support/https.ts';
import { until } from '../support/until.ts';
import type { Residue, Sighting } from './history.ts';
import type { Load } from './load.ts';
import { type ChaosNode, CONSUMERS, PREFIX, RUNNING_ID } from './node.ts';
import { threadsOf } from './process-table.ts';
import { kinds } from './workload.ts';

/** The queues are empty after this time at the latest, and everything is tidied up, in milliseconds. */
const SETTLED_MS = 60_000;
const TIDY_MS = 45_000;

/** Checks under way at once. */
const AT_ONCE = 16;

/** Threads that a consumer may have more than a fresh one: successors of retiring ones, and Node's own, started when needed. */
const MORE_THREADS = 8;

/** Files of an installation, as a fresh one has them after its first jobs. */
const KNOWN_FILES =
  /^fasttask\/((log|conf|ssl_cert|celery)\/[^/]*|celery\/tasks\/[\w.]+\.mjs|redis\/data\/(appendonlydir\/[^/]*|[^/]*\.(aof|rdb)))$/;

/** Waits for empty queues. False when that takes too long. */
export function settled({ redis }: ChaosNode): Promise<boolean> {
  const isEmpty = async () => {
    for (const { task } of kinds) {
      const { wait, active, delayed, held } = taskKeys(PREFIX, task);
      const counts = await Promise.all([redis.llen(wait), redis.llen(active), redis.zcard(delayed), redis.zcard(held)]);
      if (counts.some((count) => count > 0)) return false;
    }
    return true;
  };
  return until(isEmpty, { what: 'empty queues', timeoutMs: SETTLED_MS, everyMs: 250 }).then(
    () => true,
    () => false,
  );
}

/** The last look at every acknowledged job. */
export async function endsOf(load: Load): Promise<Sighting[]> {
  const ids = load.jobs.map(({ id }) => id);
  const ends: Sighting[] = [];
  const lookAtNext = async (): Promise<void> => {
    for (let id = ids.pop(); id !== undefined; id = ids.pop()) {
      const wanted = id;
      ends.push(await until(() => load.look(wanted), { what: `the API to tell of ${wanted}`, timeoutMs: 30_000, everyMs: 200 }));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lookAtNext));
  return ends;
}

/** Everything that should not be there. Leases and retiring threads are given time to go. */
export async function residueOf(node: ChaosNode, isSettled: boolean): Promise<Residue> {
  const look = async (): Promise<Residue> => ({
    settled: isSettled,
    healthy: await isHealthy(node),
    ...(await keysLeft(node)),
    processes: await extraProcesses(node),
    threads: (await node.pids('consumer'))
      .map((pid) => ({ pid, count: threadsOf(pid) }))
      .filter(({ count }) => count > node.freshThreads + MORE_THREADS)
      .map(({ pid, count }) => `consumer ${pid} has ${count} threads, a fresh one ${node.freshThreads}`),
    files: [...filesUnder(node.files).filter((file) => !KNOWN_FILES.test(file)), ...filesUnder(node.tmp).map((file) => `$TMPDIR/${file}`)],
  });
  let last = await look();
  await until(
    async () => {
      last = await look();
      return isTidy(last);
    },
    { what: 'everything to be tidy', timeoutMs: TIDY_MS, everyMs: 2000 },
  ).catch(() => undefined);
  return last;
}

function isTidy({ healthy, keys, unfinished, processes, threads, files }: Residue): boolean {
  return healthy && [keys, unfinished, processes, threads, files].every(({ length }) => length === 0);
}

async function isHealthy({ client }: ChaosNode): Promise<boolean> {
  try {
    return jobOf(await client.post('/run/instant', {}, { timeoutMs: 10_000 })).state === 'SUCCESS';
  } catch {
    return false;
  }
}

async function keysLeft({ redis }: ChaosNode): Promise<Pick<Residue, 'keys' | 'unfinished'>> {
  const keys: string[] = [];
  const unfinished: string[] = [];
  const all = new Set<string>();
  for (let cursor = '0'; ; ) {
    const [next, found] = await redis.scan(cursor, 'MATCH', `${PREFIX}:{*`, 'COUNT', 1000);
    for (const key of found) all.add(key);
    if (next === '0') break;
    cursor = next;
  }
  for (const key of all) {
    const name = key.slice(key.indexOf('}:') + 2);
    if (/^(places:|line:|held$|marked$)|:lock$/.test(name)) keys.push(key);
    else if (name.startsWith(`${RUNNING_ID}-`) && !name.endsWith(':logs') && (await redis.hexists(key, 'finishedOn')) === 0)
      unfinished.push(name);
  }
  return { keys, unfinished };
}

/** What runs beside PM2's daemon and the apps. */
async function extraProcesses(node: ChaosNode): Promise<string[]> {
  const apps = (await Promise.all((['redis', 'api', 'consumer'] as const).map((app) => node.pids(app)))).flat();
  const extra = node.processes().filter(({ pid, command }) => !apps.includes(pid) && !command.startsWith('PM2 '));
  const missing = apps.length === 3 + CONSUMERS ? [] : [`${apps.length} processes of apps instead of ${3 + CONSUMERS}`];
  return [...missing, ...extra.map(({ pid, command }) => `${pid} ${command}`)];
}

function filesUnder(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)));
}
