/** Whether jobs are drained as fast when more of them wait, and when they are of more tasks. */
import type { TestProcess } from '../../support/processes.ts';
import { until } from '../../support/until.ts';
import { type Backlog, submitted, TASK } from '../backlog.ts';
import { inTurn, median } from '../measure.ts';
import { noopTasks } from '../scale-tasks.ts';
import { submit } from '../scale-throughput.ts';
import { System } from '../system.ts';
import type { Bar, Row } from '../table.ts';

/** Jobs that warm a consumer, and those that are counted: the rest of a backlog goes on waiting. */
const WARM = 2000;
const COUNTED = 5000;

/** Jobs that are counted where they are of more tasks: a thread is replaced every 10 s at the most, and its successor imports all of their files. */
const COUNTED_OF_TASKS = 20_000;

/** A backlog of no more than that is filled again, so that as many jobs are counted. */
const SMALL = 1000;

/** Numbers of tasks beside one. */
const SOME = 10;
const MANY = 100;

const SLOTS = { WORKER_CONCURRENCY: '2' };
const flat: Bar = { of: 'ratio', at: 'least', value: 0.85 };

/** A row for each backlog but the first, which the others are compared with. */
export async function waitingRows(rounds: number, [small, middle, large]: readonly [Backlog, Backlog, Backlog]): Promise<Row[]> {
  await small.system.dropWaiting(System.base(TASK));
  const measured = await inTurn(rounds, {
    small: () => withConsumer(small, refilled),
    middle: () => withConsumer(middle, counted),
    large: () => withConsumer(large, counted),
  });
  const floor = { what: `${SMALL} waiting`, values: measured.small };
  const row = (waiting: number, ours: number[]): Row => ({
    case: 'growth',
    what: `${waiting} waiting`,
    unit: 'jobs/s',
    ours,
    floor,
    bar: flat,
  });
  return [row(middle.waiting, measured.middle), row(large.waiting, measured.large)];
}

/** Measures with a new consumer that is warm, and ends it. */
async function withConsumer(backlog: Backlog, work: (backlog: Backlog, consumer: TestProcess) => Promise<number>): Promise<number> {
  const { system, tasksDir } = backlog;
  const before = await completed(system, [TASK]);
  const consumer = await system.consumer({ TASKS_DIR: tasksDir, ...SLOTS });
  if (backlog.waiting === 0) await submitted(system, WARM);
  await until(async () => (await completed(system, [TASK])) >= before + WARM, {
    what: 'the consumer to be warm',
    timeoutMs: 60_000,
    everyMs: 5,
  });
  const rate = await work(backlog, consumer);
  await consumer.stop();
  return rate;
}

/**
 * Lets a consumer go on, and measures between two looks at what has ended: the wake-up of its threads and the last jobs, beside which nothing
 * runs, do not count.
 * @returns jobs per second
 */
async function rateBetween(system: System, names: readonly string[], [first, last]: readonly [number, number], go: () => void) {
  const before = await completed(system, names);
  const reached = (jobs: number) =>
    until(
      async () => {
        const ended = (await completed(system, names)) - before;
        return ended >= jobs && { ended, at: performance.now() };
      },
      { what: `${jobs} jobs to end`, timeoutMs: 120_000, everyMs: 5 },
    );
  go();
  const from = await reached(first);
  const to = await reached(last);
  return (to.ended - from.ended) / ((to.at - from.at) / 1000);
}

async function counted({ system }: Backlog): Promise<number> {
  return await rateBetween(system, [TASK], [0, COUNTED], () => {});
}

async function refilled({ system }: Backlog, consumer: TestProcess): Promise<number> {
  const rates: number[] = [];
  for (let left = COUNTED; left > 0; left -= SMALL) {
    consumer.signal('SIGSTOP');
    await submitted(system, SMALL);
    rates.push(await rateBetween(system, [TASK], [SMALL * 0.1, SMALL * 0.9], () => consumer.signal('SIGCONT')));
  }
  return median(rates);
}

/** A row for each number of tasks but the first. */
export async function typesRows(rounds: number): Promise<Row[]> {
  const systems: System[] = [];
  const side = async (types: number) => {
    const system = await System.start();
    systems.push(system);
    return await typesSide(system, types);
  };
  try {
    const measured = await inTurn(rounds, { one: await side(1), some: await side(SOME), many: await side(MANY) });
    const floor = { what: '1 task', values: measured.one };
    const row = (types: number, ours: number[]): Row => ({
      case: 'growth',
      what: `${COUNTED_OF_TASKS} waiting jobs of ${types} tasks`,
      unit: 'jobs/s',
      ours,
      floor,
      bar: flat,
    });
    return [row(SOME, measured.some), row(MANY, measured.many)];
  } finally {
    for (const system of systems) await system.stop();
  }
}

/** Starts a consumer of so many tasks. @returns one round of it, in jobs per second */
async function typesSide(system: System, types: number): Promise<() => Promise<number>> {
  const names = Array.from({ length: types }, (_, index) => `noop_${index}`);
  const consumer = await system.consumer({ TASKS_DIR: noopTasks(names), ...SLOTS });
  return async () => {
    consumer.signal('SIGSTOP');
    await submit(system.queue, COUNTED_OF_TASKS, {}, names);
    return await rateBetween(system, names, [COUNTED_OF_TASKS * 0.1, COUNTED_OF_TASKS * 0.9], () => consumer.signal('SIGCONT'));
  };
}

/** One command for all tasks: a look at many of them must not cost what it is to measure. */
const COUNT = `local sum = 0
for _, key in ipairs(KEYS) do sum = sum + redis.call('ZCARD', key) end
return sum`;

async function completed({ redis }: System, names: readonly string[]): Promise<number> {
  return Number(await redis.eval(COUNT, names.length, ...names.map((name) => `${System.base(name)}completed`)));
}
