/** How long one job takes on a system that has nothing else to do: /run, and from add to the task's function. */
import { join } from 'node:path';
import { projectDir } from '../../../shared/config.ts';
import { hasEnded } from '../../../shared/job-state.ts';
import type { TestQueue } from '../../support/queue.ts';
import { until } from '../../support/until.ts';
import type { Bench, Group } from '../case.ts';
import { type Ask, load } from '../load.ts';
import { inTurn, median } from '../measure.ts';
import { System, type Target, targetOf } from '../system.ts';
import type { Row } from '../table.ts';

/** The task that tells when it was entered. Another installation has only the examples. */
const TASK = 'entered';
const EXAMPLE: Ask = { method: 'POST', path: '/run/get_circle_area', body: '{"radius":5}' };

const SECONDS = 2;

/** Jobs of one round of `dispatch`. */
const DISPATCHED = 200;

export const idle: Group = {
  cases: {
    run: 'POST /run, one after the other on one connection, p50, beside add → waitUntilFinished through Worker + Piscina plus a bare HTTPS round trip',
    dispatch: 'from add to the task function entered, p50, beside BullMQ Worker + Piscina',
  },
  profiled: ['run', 'dispatch'],
  async measure(bench, wanted) {
    const system = await System.start();
    try {
      const rows: Row[] = [];
      const consumer = await system.consumer({ TASKS_DIR: join(projectDir, 'test', 'bench', 'tasks'), ...bench.env('dispatch') });
      await system.floor('worker', ['floor', '2', 'entered.mjs']);
      const wait = async () => {
        const { process, ready } = await system.floor<{ end: number; entry: number }>('wait', ['floor', String(SECONDS)]);
        await process.exited;
        return ready;
      };
      if (wanted.has('run')) rows.push(await runRow(bench, system, wait));
      if (wanted.has('dispatch')) {
        const { ours, bare } = await inTurn(bench.rounds, {
          ours: () => bench.loading('dispatch', consumer, () => dispatched(system.queue)),
          bare: async () => (await wait()).entry,
        });
        const floor = { what: 'BullMQ + Piscina(2)', values: bare };
        rows.push({
          case: 'dispatch',
          what: 'add → task entered, p50',
          unit: 'ms',
          ours,
          floor,
          bar: { of: 'figure', at: 'most', value: 2 },
        });
      }
      return rows;
    } finally {
      await system.stop();
    }
  },
};

async function runRow(bench: Bench, system: System, wait: () => Promise<{ end: number }>): Promise<Row> {
  const { url, user } = bench.options;
  const target: Target = url === undefined ? await system.api([TASK], bench.env('run')) : targetOf(url, user);
  const ask: Ask = url === undefined ? { method: 'POST', path: `/run/${TASK}`, body: '{}' } : EXAMPLE;
  const { ready } = await system.floor<{ https: number }>('koa');
  const hello = { origin: `https://127.0.0.1:${ready.https}`, headers: {} };
  const alone = (asks: Ask[]) => ({ asks, connections: 1, seconds: SECONDS });
  const { ours, bare } = await inTurn(bench.rounds, {
    ours: async () => (await bench.loading('run', target.process, () => load(target, alone([ask])))).p50,
    bare: async () => (await wait()).end + (await load(hello, alone([{ method: 'GET', path: '/' }]))).p50,
  });
  return {
    case: 'run',
    what: 'POST /run, p50',
    unit: 'ms',
    ours,
    floor: { what: 'add → waitUntilFinished + HTTPS', values: bare },
    bar: { of: 'ratio', at: 'most', value: 1.5 },
  };
}

/** @returns the median of milliseconds from before the submission of a job to the entry of its function */
async function dispatched(queue: TestQueue): Promise<number> {
  const waits: number[] = [];
  for (let count = 0; count < DISPATCHED; count += 1) {
    const addedAt = Number(process.hrtime.bigint()) / 1e6;
    const id = await queue.submit(TASK);
    const view = await until(
      async () => {
        const now = await queue.check(id);
        return now !== undefined && hasEnded(now.state) && now;
      },
      { what: `${id} to end`, everyMs: 5 },
    );
    waits.push(Number(view.resultJson) - addedAt);
  }
  return median(waits);
}
