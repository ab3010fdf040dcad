/**
 * Measures what every kind of task costs at its limits: `npm run limits`. Real Redis, a real consumer, five rounds each.
 * Prints a Markdown table; services/README.md keeps the last one.
 */
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { projectDir } from '../../shared/config.ts';
import { runProgram } from '../support/program.ts';
import { TestQueue } from '../support/queue.ts';
import { redisProgram } from '../support/redis.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';
import { pulsed } from './pulsed.ts';

const SOFT_MS = 600;
const HARD_MS = 1000;
const ROUNDS = 5;

interface Case {
  way: string;
  where: 'thread' | 'shared thread' | 'process';
}

const cases: Case[] = [
  ...[
    'async',
    'never resolves',
    'loop',
    'loop with check()',
    'loop under guard()',
    'regular expression',
    'regular expression under guard()',
    'native call',
  ].map((way): Case => ({ way, where: 'thread' })),
  ...['async', 'loop', 'never resolves'].map((way): Case => ({ way, where: 'shared thread' })),
  ...['loop', 'loop with check()', 'native call'].map((way): Case => ({ way, where: 'process' })),
];

/** Milliseconds after the start of the task; undefined where it cannot be seen. */
interface Measure {
  soft: number | undefined;
  lastAlive: number | undefined;
  ended: number;
  slotFree: number | undefined;
}

async function measure({ way, where }: Case): Promise<Measure> {
  const queue = await TestQueue.start();
  try {
    const shared = where === 'shared thread';
    const consumer = await queue.consumer({
      TASKS_DIR: join(projectDir, 'test', 'bench', 'tasks'),
      SOFT_TIME_LIMIT: String(SOFT_MS / 1000),
      TIME_LIMIT: String(HARD_MS / 1000),
      WORKER_CONCURRENCY: shared ? '8' : '1',
      ...(shared ? { WORKER_POOL: 'gevent' } : {}),
    });
    const dir = tempDir('probe');
    await queue.result('next', { file: join(dir, 'warm') });
    const task = where === 'process' ? 'isolated_probe' : 'limit_probe';
    // The file is imported by then: its import counts as execution.
    await queue.result(task, { way: 'nothing', dir });
    const id = await queue.submit(task, { way, dir });
    const startedAt = await until(() => pulsed(join(dir, 'start')), { what: 'the task to run', everyMs: 1 });
    const siblings = shared
      ? await Promise.all(Array.from({ length: 3 }, () => queue.submit('limit_probe', { way: 'async', dir: tempDir('sibling') })))
      : [];
    // A native call takes its consumer along: then the end of the process is the end of the task, and there is no slot here.
    const native = way === 'native call' && where === 'thread';
    const end = native ? consumer.exited : consumer.waitForEvent('job.failed', { where: ({ jobId }) => jobId === id });
    const next = queue.submit('next', { file: join(dir, 'next') });
    await end;
    const endedAt = Number(process.hrtime.bigint()) / 1e6;
    await next;
    if (!native) await until(() => existsSync(join(dir, 'next')), { what: 'the next job to run', everyMs: 2 });
    for (const sibling of siblings) await queue.jobs.revoke('limit_probe', sibling);
    const lastAlive = pulsed(join(dir, 'alive'));
    const soft = pulsed(join(dir, 'soft'));
    const after = (at: number | undefined) => (at === undefined ? undefined : at - startedAt);
    return {
      soft: after(soft),
      lastAlive: way === 'never resolves' || way === 'native call' ? undefined : after(lastAlive),
      ended: endedAt - startedAt,
      slotFree: native ? undefined : Math.max(0, Number(readFileSync(join(dir, 'next'), 'utf8')) - startedAt - HARD_MS),
    };
  } finally {
    await queue.stop();
  }
}

function worst(values: readonly (number | undefined)[], over: number): string {
  const seen = values.filter((value) => value !== undefined);
  return seen.length === 0 ? '–' : `${Math.round(Math.max(...seen) - over)} ms`;
}

async function main(): Promise<void> {
  const { version } = await redisProgram();
  process.stdout.write(
    `Soft limit ${SOFT_MS} ms, hard limit ${HARD_MS} ms; the largest of ${ROUNDS} rounds. Node ${process.version}, Redis ${version}, ${availableParallelism()} cores.\n\n`,
  );
  process.stdout.write(
    '| task | runs in | soft limit seen after | last sign of life after the hard limit | its end is known after | slot used again after |\n|---|---|---|---|---|---|\n',
  );
  for (const one of cases) {
    const rounds: Measure[] = [];
    for (let round = 0; round < ROUNDS; round += 1) rounds.push(await measure(one));
    const columns = [
      worst(
        rounds.map(({ soft }) => soft),
        SOFT_MS,
      ),
      worst(
        rounds.map(({ lastAlive }) => lastAlive),
        HARD_MS,
      ),
      worst(
        rounds.map(({ ended }) => ended),
        HARD_MS,
      ),
      worst(
        rounds.map(({ slotFree }) => slotFree),
        0,
      ),
    ];
    process.stdout.write(`| ${one.way} | ${one.where} | ${columns.join(' | ')} |\n`);
  }
}

await runProgram(main);
