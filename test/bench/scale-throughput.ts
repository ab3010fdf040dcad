/** Jobs per second by shards and consumer processes, and whose CPU caps it. */
import { taskKeys } from '../../shared/job-scripts.ts';
import type { TestProcess } from '../support/processes.ts';
import { TestQueue } from '../support/queue.ts';
import { until } from '../support/until.ts';
import { median } from './measure.ts';
import { cpuSeconds } from './redis-watch.ts';
import { noopTasks, SPREAD_NAMES } from './scale-tasks.ts';

const CONSUMERS = [1, 2, 4];
const SLOTS_OF_CONSUMER = 2;
const PREFIX = 'fasttask';

/** Settings of consumers that leave out what is not the queue's: a line of log for each job, and the replacement of threads. */
export const QUIET = { LOG_LEVEL: 'info', WORKER_MAX_TASKS_PER_CHILD: '1000000' };

/** What one round took: jobs per second, and the CPU of each side in microseconds per job. */
interface Round {
  rate: number;
  redisUs: number;
  consumerUs: number;
}

/** A row for each number of shards and consumers: medians of the rounds. @param jobs that wait at the start of a round */
export async function throughputTable(jobs: number, rounds: number): Promise<string> {
  const lines = [
    `No-op jobs from ${SPREAD_NAMES.length} tasks, ${jobs} waiting, ${SLOTS_OF_CONSUMER} slots for each consumer process; medians of ${rounds} rounds.`,
    '',
    '| Redis shards | consumer processes | jobs/s | Redis, µs of CPU per job | consumers, µs of CPU per job | both, cores busy |',
    '|---|---|---|---|---|---|',
  ];
  for (const kind of ['server', 'cluster'] as const) {
    const queue = await TestQueue.start({ kind, replicas: false });
    try {
      const consumers: TestProcess[] = [];
      const env = { TASKS_DIR: noopTasks(SPREAD_NAMES), WORKER_CONCURRENCY: String(SLOTS_OF_CONSUMER), ...QUIET };
      for (const count of CONSUMERS) {
        while (consumers.length < count) consumers.push(await queue.consumer(env));
        await round(queue, consumers, Math.min(jobs, 600));
        const measured: Round[] = [];
        for (let turn = 0; turn < rounds; turn += 1) measured.push(await round(queue, consumers, jobs));
        const of = (what: keyof Round) => median(measured.map((one) => one[what]));
        const busy = (of('rate') * (of('redisUs') + of('consumerUs'))) / 1e6;
        const figures = [of('rate'), of('redisUs'), of('consumerUs')].map((value) => value.toFixed(0));
        lines.push(`| ${queue.server.servers.length} | ${count} | ${figures.join(' | ')} | ${busy.toFixed(2)} |`);
      }
    } finally {
      await queue.stop();
    }
  }
  return lines.join('\n');
}

/** Lets the jobs wait before stopped consumers, and measures from the moment at which these go on. */
async function round(queue: TestQueue, consumers: readonly TestProcess[], jobs: number): Promise<Round> {
  const before = await completed(queue);
  for (const consumer of consumers) consumer.signal('SIGSTOP');
  await submit(queue, jobs);
  const cpu = () => [sum(queue.server.servers.map(({ pid }) => cpuSeconds(pid))), sum(consumers.map(({ pid }) => cpuSeconds(pid)))];
  const [redisBefore = 0, consumersBefore = 0] = cpu();
  const from = performance.now();
  for (const consumer of consumers) consumer.signal('SIGCONT');
  await until(async () => (await completed(queue)) >= before + jobs, { what: `${jobs} jobs to end`, timeoutMs: 120_000, everyMs: 20 });
  const seconds = (performance.now() - from) / 1000;
  const [redisAfter = 0, consumersAfter = 0] = cpu();
  return {
    rate: jobs / seconds,
    redisUs: ((redisAfter - redisBefore) * 1e6) / jobs,
    consumerUs: ((consumersAfter - consumersBefore) * 1e6) / jobs,
  };
}

/** Submits jobs of all tasks, the same number of each. */
export async function submit(queue: TestQueue, jobs: number, params: unknown = {}, names: readonly string[] = SPREAD_NAMES): Promise<void> {
  const perTask = Math.ceil(jobs / names.length);
  for (const name of names) {
    for (let left = perTask; left > 0; left -= 500)
      await queue.jobs.submitAll(
        queue.task(name),
        Array.from({ length: Math.min(500, left) }, () => ({ params })),
      );
  }
}

/** How many jobs have ended well. */
async function completed(queue: TestQueue): Promise<number> {
  return sum(await Promise.all(SPREAD_NAMES.map((name) => queue.redis.zcard(taskKeys(PREFIX, name).completed))));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
