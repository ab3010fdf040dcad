/** No-op jobs that wait, drained by a real consumer, beside BullMQ's Worker with two Piscina threads. */
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import type { TestProcess } from '../../support/processes.ts';
import { until } from '../../support/until.ts';
import type { Bench, Group } from '../case.ts';
import { inTurn } from '../measure.ts';
import { noopTasks } from '../scale-tasks.ts';
import { System } from '../system.ts';
import type { Row } from '../table.ts';

const TASK = 'noop';
const WAITING = 20_000;

/** Jobs of one call that fills a queue. */
const FILLED = 500;

const pools = {
  prefork: { WORKER_POOL: 'prefork', WORKER_CONCURRENCY: '2' },
  gevent: { WORKER_POOL: 'gevent', WORKER_CONCURRENCY: '100' },
} as const;

/** The floor may lock as many jobs ahead as serves it best. */
const CONCURRENCIES = [2, 10, 50];
const TRIED = 6000;

/** Somebody who drains a queue, and how that queue is filled. */
interface Drain {
  system: System;
  base: string;
  process: TestProcess;
  fill: (jobs: number) => Promise<void>;
}

export const drains: Group = {
  cases: {
    prefork: `no-op jobs/s with ${WAITING} waiting, WORKER_POOL=prefork, 2 threads, beside BullMQ Worker + Piscina(2) at its best concurrency`,
    gevent: 'the same jobs with WORKER_POOL=gevent WORKER_CONCURRENCY=100, beside the same floor and beside prefork',
  },
  profiled: ['prefork', 'gevent'],
  async measure(bench, wanted) {
    const systems: System[] = [];
    const consumer = async (pool: keyof typeof pools) => {
      // A Redis for each: a consumer that stands still would still take the other's wake-up.
      const system = await System.start();
      systems.push(system);
      return await consumerDrain(system, { ...pools[pool], ...bench.env(pool) });
    };
    try {
      const prefork = await consumer('prefork');
      const gevent = wanted.has('gevent') ? await consumer('gevent') : undefined;
      const { system } = prefork;
      const connection = new Redis(system.queue.server.url, { maxRetriesPerRequest: null });
      try {
        const { concurrency, floor } = await bestFloor(system, new Queue('floor', { connection }));
        const contenders = { prefork: draining(bench, 'prefork', prefork), floor: draining(bench, '', floor) };
        const measured =
          gevent === undefined
            ? await inTurn(bench.rounds, contenders)
            : await inTurn(bench.rounds, { ...contenders, gevent: draining(bench, 'gevent', gevent) });
        return rowsOf(measured, wanted, concurrency);
      } finally {
        connection.disconnect();
      }
    } finally {
      for (const system of systems) await system.stop();
    }
  },
};

/** One side of a round. */
function draining(bench: Bench, name: string, drain: Drain) {
  return () => bench.loading(name, drain.process, () => drained(drain, WAITING));
}

function rowsOf(
  measured: { prefork: number[]; floor: number[]; gevent?: number[] },
  wanted: ReadonlySet<string>,
  concurrency: number,
): Row[] {
  const { prefork, floor: values, gevent } = measured;
  const floor = { what: `BullMQ + Piscina(2), c=${concurrency}`, values };
  const what = `${WAITING} waiting no-op jobs`;
  const rows: Row[] = [];
  if (wanted.has('prefork')) {
    rows.push({ case: 'prefork', what, unit: 'jobs/s', ours: prefork, floor, bar: { of: 'ratio', at: 'least', value: 1 } });
  }
  if (gevent !== undefined) {
    const row = { case: 'gevent', what, unit: 'jobs/s', ours: gevent };
    rows.push(
      { ...row, floor, bar: { of: 'ratio', at: 'least', value: 1.2 } },
      { ...row, floor: { what: 'FastTask prefork', values: prefork } },
    );
  }
  return rows;
}

async function consumerDrain(system: System, env: Record<string, string>): Promise<Drain> {
  const process = await system.consumer({ TASKS_DIR: noopTasks([TASK]), ...env });
  return {
    system,
    process,
    base: System.base(TASK),
    async fill(jobs) {
      const task = system.queue.task(TASK);
      for (let left = jobs; left > 0; left -= FILLED)
        await system.queue.jobs.submitAll(
          task,
          Array.from({ length: Math.min(FILLED, left) }, () => ({ params: {} })),
        );
    },
  };
}

/** The floor at the concurrency at which it is fastest. */
async function bestFloor(system: System, queue: Queue): Promise<{ concurrency: number; floor: Drain }> {
  const start = async (concurrency: number): Promise<Drain> => {
    const { process } = await system.floor('worker', [queue.name, String(concurrency), 'noop.mjs']);
    return { system, process, base: `bull:${queue.name}:`, fill: (jobs) => fillFloor(queue, jobs) };
  };
  let best = { concurrency: 0, rate: 0 };
  for (const concurrency of CONCURRENCIES) {
    const floor = await start(concurrency);
    await drained(floor, TRIED / 6);
    const rate = await drained(floor, TRIED);
    if (rate > best.rate) best = { concurrency, rate };
    await floor.process.kill9();
  }
  return { concurrency: best.concurrency, floor: await start(best.concurrency) };
}

async function fillFloor(queue: Queue, jobs: number): Promise<void> {
  for (let left = jobs; left > 0; left -= FILLED) {
    await queue.addBulk(Array.from({ length: Math.min(FILLED, left) }, () => ({ name: 'job', data: {} })));
  }
}

/**
 * Lets jobs wait before a process that stands still, and measures from the moment at which it goes on. The queue is empty again when
 * this returns.
 * @returns jobs per second
 */
async function drained({ system, base, process, fill }: Drain, jobs: number): Promise<number> {
  process.signal('SIGSTOP');
  await fill(jobs);
  const began = performance.now();
  process.signal('SIGCONT');
  const completed = async () => (await system.redis.zcard(`${base}completed`)) >= jobs;
  await until(completed, { what: `${jobs} jobs to end`, timeoutMs: 120_000, everyMs: 10 });
  const seconds = (performance.now() - began) / 1000;
  await system.dropCompleted(base);
  return jobs / seconds;
}
