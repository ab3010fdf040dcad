/**
 * Many jobs through one consumer, many of them killed at their hard limit: `npm run soak -- [jobs] [kills]`. Prints the consumer's
 * resident memory on the way; it must stay where it is after the first tenth. A reading is the median of some seconds in which the
 * consumer rests: while threads come and go, some of them live twice.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import type { TestProcess } from '../support/processes.ts';
import { runProgram } from '../support/program.ts';
import { TestQueue } from '../support/queue.ts';
import { until } from '../support/until.ts';
import { median } from './measure.ts';

const [jobs = 200_000, kills = 2000] = process.argv.slice(2).map(Number);
const STEPS = 20;

/** Of how many looks at the resting consumer a reading is the median, and the pause between them. */
const LOOKS = 21;
const LOOK_MS = 100;

/** Resident memory of a process in MiB, and how many threads it has (Linux). */
async function reading({ pid }: TestProcess): Promise<{ mebibytes: number; threads: number }> {
  const looks: { mebibytes: number; threads: number }[] = [];
  for (let look = 0; look < LOOKS; look += 1) {
    await pause(LOOK_MS);
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const [, kib] = /VmRSS:\s+(\d+) kB/.exec(status) ?? [];
    const [, threads] = /Threads:\s+(\d+)/.exec(status) ?? [];
    looks.push({ mebibytes: Number(kib) / 1024, threads: Number(threads) });
  }
  return { mebibytes: median(looks.map(({ mebibytes }) => mebibytes)), threads: median(looks.map(({ threads }) => threads)) };
}

/** Lets one step's jobs run to their end. */
async function step(queue: TestQueue, noops: number, spins: number): Promise<void> {
  const before = await done(queue);
  const spin = { params: {}, softTimeLimit: 0.04, timeLimit: 0.05 };
  if (spins > 0)
    await queue.jobs.submitAll(
      queue.task('spin'),
      Array.from({ length: spins }, () => spin),
    );
  for (let left = noops; left > 0; left -= 1000) {
    await queue.jobs.submitAll(
      queue.task('noop'),
      Array.from({ length: Math.min(1000, left) }, () => ({ params: {} })),
    );
  }
  await until(async () => (await done(queue)) >= before + noops + spins, { what: 'the step to end', timeoutMs: 300_000, everyMs: 200 });
}

async function done(queue: TestQueue): Promise<number> {
  const [noop, spin] = await Promise.all([queue.jobs.counts('noop'), queue.jobs.counts('spin')]);
  return noop.succeeded + noop.failed + spin.failed;
}

async function main(): Promise<void> {
  const queue = await TestQueue.start({ args: ['appendonly no'] });
  try {
    // At its own level the consumer would print a line for each job, and this process keep it.
    const consumer = await queue.consumer({ WORKER_CONCURRENCY: '2', LOG_LEVEL: 'info', RESULT_EXPIRES: '100000' });
    process.stdout.write(
      `${jobs} jobs, ${kills} of them killed at their hard limit; Node ${process.version}\n\n| jobs | resident memory | threads |\n|---|---|---|\n`,
    );
    const readings: number[] = [];
    for (let turn = 1; turn <= STEPS; turn += 1) {
      await step(queue, Math.round((jobs - kills) / STEPS), Math.round(kills / STEPS));
      const { mebibytes, threads } = await reading(consumer);
      readings.push(mebibytes);
      process.stdout.write(`| ${Math.round((jobs / STEPS) * turn)} | ${mebibytes.toFixed(0)} MiB | ${threads} |\n`);
    }
    const settled = readings.slice(STEPS / 10 - 1);
    const middle = median(settled);
    const [low, high] = [Math.min(...settled), Math.max(...settled)].map((value) => ((value / middle - 1) * 100).toFixed(1));
    process.stdout.write(`\nafter the first tenth: median ${middle.toFixed(0)} MiB, from ${low} % to +${high} %\n`);
  } finally {
    await queue.stop();
  }
}

await runProgram(main);
