/** What a job takes in Redis' memory, waiting and finished. */
import { until } from '../../support/until.ts';
import type { Group } from '../case.ts';
import { usedMemory } from '../redis-watch.ts';
import { noopTasks } from '../scale-tasks.ts';
import { submit } from '../scale-throughput.ts';
import { System } from '../system.ts';

const TASK = 'noop';
const JOBS = 10_000;

/** 100 bytes of params as JSON. */
const PARAMS = { text: 'x'.repeat(89) };

export const bytes: Group = {
  cases: { bytes: 'bytes of Redis per waiting job with 100 bytes of params, and per finished one' },
  async measure({ rounds }) {
    const system = await System.start();
    try {
      const consumer = await system.consumer({ TASKS_DIR: noopTasks([TASK]) });
      const waiting: number[] = [];
      const finished: number[] = [];
      const { redis } = system;
      const completed = `${System.base(TASK)}completed`;
      for (let round = 1; round <= rounds; round += 1) {
        consumer.signal('SIGSTOP');
        const empty = await usedMemory(redis);
        await submit(system.queue, JOBS, PARAMS, [TASK]);
        waiting.push(((await usedMemory(redis)) - empty) / JOBS);
        consumer.signal('SIGCONT');
        await until(async () => (await redis.zcard(completed)) >= JOBS * round, {
          what: 'the jobs to end',
          timeoutMs: 60_000,
          everyMs: 100,
        });
        finished.push(((await usedMemory(redis)) - empty) / JOBS);
      }
      const row = { case: 'bytes', unit: 'bytes' };
      return [
        { ...row, what: 'Redis memory per waiting job', ours: waiting, bar: { of: 'figure', at: 'most', value: 700 } },
        { ...row, what: 'Redis memory per finished job', ours: finished, bar: { of: 'figure', at: 'most', value: 1000 } },
      ];
    } finally {
      await system.stop();
    }
  },
};
