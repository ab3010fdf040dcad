/** What happens at the hard limit of a task that does not listen: when its thread stops, and when the slot runs the next job. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectDir } from '../../../shared/config.ts';
import type { TestProcess } from '../../support/processes.ts';
import { tempDir } from '../../support/temp.ts';
import { until } from '../../support/until.ts';
import type { Group } from '../case.ts';
import { percentile } from '../measure.ts';
import { pulsed } from '../pulsed.ts';
import { System } from '../system.ts';
import type { Row } from '../table.ts';

/** Jobs of one round that are ended at their limit. */
const KILLED = 20;

const SOFT_MS = 200;
const HARD_MS = 300;

/** Milliseconds after the hard limit. */
interface Kill {
  /** The last moment at which the loop ran. */
  lastAlive: number;
  /** When its end stood in the log of the consumer, as seen from outside: its thread is gone then. */
  known: number;
  /** When the next job was entered in the only slot. */
  usable: number;
}

export const hardLimit: Group = {
  cases: { limits: 'a loop at its hard limit: until its thread is gone, and until its slot runs the next job, p99 of all rounds' },
  async measure({ rounds }) {
    const system = await System.start();
    try {
      const consumer = await system.consumer({ TASKS_DIR: join(projectDir, 'test', 'bench', 'tasks'), WORKER_CONCURRENCY: '1' });
      const dir = tempDir('probe');
      // Both files are imported by then: an import counts as execution.
      await system.queue.result('limit_probe', { way: 'nothing', dir });
      await system.queue.result('next', { file: join(dir, 'warm') });
      const kills: Kill[] = [];
      for (let turn = 0; turn < rounds * KILLED; turn += 1) {
        const one = await kill(system, consumer);
        if (one !== undefined) kills.push(one);
      }
      const row = (what: string, of: keyof Kill): Row => {
        const values = kills.map((one) => one[of]);
        return { case: 'limits', what: `hard limit → ${what}, p99 of ${kills.length}`, unit: 'ms', ours: [percentile(values, 0.99)] };
      };
      return [
        { ...row('thread gone, its end in the log', 'known'), bar: { of: 'figure', at: 'most', value: 50 } },
        { ...row('slot usable', 'usable'), bar: { of: 'figure', at: 'most', value: 200 } },
        { ...row('last sign of life', 'lastAlive'), note: 'the limit counts from a little before the task can note its start' },
      ];
    } finally {
      await system.stop();
    }
  },
};

/** Undefined where the machine was so busy that the task did not come to note its start. */
async function kill({ queue }: System, consumer: TestProcess): Promise<Kill | undefined> {
  const dir = tempDir('probe');
  const after = consumer.log.length;
  const id = await queue.submit('limit_probe', { way: 'loop', dir }, { softTimeLimit: SOFT_MS / 1000, timeLimit: HARD_MS / 1000 });
  const file = join(dir, 'next');
  await queue.submit('next', { file });
  await consumer.waitForEvent('job.failed', { where: ({ jobId }) => jobId === id, after });
  const knownAt = Number(process.hrtime.bigint()) / 1e6;
  const usableAt = await until(() => existsSync(file) && Number(readFileSync(file, 'utf8')), { what: 'the next job to run', everyMs: 2 });
  const [startedAt, lastAt] = ['start', 'alive'].map((name) => pulsed(join(dir, name)));
  if (startedAt === undefined || lastAt === undefined) return undefined;
  const limitAt = startedAt + HARD_MS;
  return { lastAlive: lastAt - limitAt, known: knownAt - limitAt, usable: usableAt - limitAt };
}
