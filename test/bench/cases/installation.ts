/** A whole installation under PM2: how long a warm start takes, and what it needs when it rests. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { apiClient, closeClients } from '../../support/https.ts';
import { type Installation, makeInstallation } from '../../support/installation.ts';
import { endWithProgram } from '../../support/program.ts';
import { until } from '../../support/until.ts';
import type { Group } from '../case.ts';
import { median } from '../measure.ts';
import type { Row } from '../table.ts';

/**
 * How long a started installation is left alone before its memory is read, and the pause between two readings, in milliseconds. V8 looks every 8 s
 * whether a heap rests and gives back then what its start has left; a heap that is busy at that moment waits for the next look, or the one after.
 */
const REST_MS = 30_000;
const LOOK_MS = 1000;

export const installation: Group = {
  cases: {
    start: 'warm npm start of a single_node → its API says that it is ready',
    memory: 'a resting single_node, 1 API process, 2 threads: RSS and PSS of PM2, Redis, API and consumer',
  },
  async measure({ rounds }, wanted) {
    const clone = await makeInstallation({ UVICORN_WORKERS: '1', WORKER_CONCURRENCY: '2' });
    const remove = endWithProgram(() => clone.remove());
    try {
      // Installs and builds what a warm start finds.
      await started(clone);
      const rows: Row[] = [];
      if (wanted.has('memory')) rows.push(...(await memoryRows(clone, rounds)));
      if (wanted.has('start')) rows.unshift(await startRow(clone, rounds));
      return rows;
    } finally {
      await closeClients();
      await remove();
    }
  },
};

/** @returns seconds from the command to the first answer that says ready */
async function started(clone: Installation): Promise<number> {
  const began = performance.now();
  const command = clone.npm(['start']);
  const api = apiClient(clone.origin);
  const ready = until(async () => (await api.get('/ready', { timeoutMs: 1000 })).status === 200, {
    what: 'the API to be ready',
    timeoutMs: 120_000,
    everyMs: 10,
  }).then(() => (performance.now() - began) / 1000);
  const [seconds, { code, output }] = await Promise.all([ready, command]);
  if (code !== 0) throw new Error(`npm start ended with ${code}:\n${output}`);
  return seconds;
}

async function startRow(clone: Installation, rounds: number): Promise<Row> {
  const ours: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    await clone.npm(['stop']);
    ours.push(await started(clone));
  }
  return { case: 'start', what: 'warm npm start → ready', unit: 's', ours, bar: { of: 'figure', at: 'most', value: 3 } };
}

/** Resident memory of one process in MB (Linux). PSS shares what several processes have in common among them. */
interface Memory {
  rss: number;
  pss: number;
}

async function memoryRows(clone: Installation, rounds: number): Promise<Row[]> {
  await pause(REST_MS);
  const daemon = Number(readFileSync(join(clone.dir, 'files/fasttask/celery/pm2/pm2.pid'), 'utf8'));
  const apps = (await clone.list()).filter(({ status }) => status === 'online');
  const processes = [{ name: 'PM2', pid: daemon }, ...apps];
  const looks: Memory[][] = [];
  for (let round = 0; round < rounds; round += 1) {
    await pause(LOOK_MS);
    looks.push(processes.map(({ pid }) => memoryOf(pid)));
  }
  const sum = (of: keyof Memory) => looks.map((look) => look.reduce((total, one) => total + one[of], 0));
  const parts = processes.map(({ name }, index) => {
    const [rss, pss] = (['rss', 'pss'] as const).map((of) => median(looks.map((look) => look[index]?.[of] ?? Number.NaN)).toFixed(0));
    return `${name} ${rss} (${pss})`;
  });
  const row = { case: 'memory', unit: 'MB' };
  return [
    {
      ...row,
      what: 'resting single_node, sum of RSS',
      ours: sum('rss'),
      bar: { of: 'figure', at: 'most', value: 250 },
      note: `RSS (PSS) in MB: ${parts.join(', ')}`,
    },
    { ...row, what: 'the same, sum of PSS', ours: sum('pss') },
  ];
}

function memoryOf(pid: number): Memory {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const [rss = Number.NaN, pss = Number.NaN] = ['Rss', 'Pss'].map(
    (name) => (Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]) * 1024) / 1e6,
  );
  return { rss, pss };
}
