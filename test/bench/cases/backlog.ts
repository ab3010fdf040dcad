/** What a million waiting jobs change: how long calls of the API take, and how fast jobs are drained. */
import { backlogOf } from '../backlog.ts';
import type { Group } from '../case.ts';
import { System } from '../system.ts';
import type { Row } from '../table.ts';
import { typesRows, waitingRows } from './growth.ts';
import { millionRows } from './million.ts';

const MILLION = 1_000_000;

export const backlog: Group = {
  cases: {
    million: 'p99 of create, check, revoke and status_info with 1,000,000 waiting jobs, beside the same with none',
    growth: 'jobs/s with 1,000, 100,000 and 1,000,000 waiting, and with 1, 10 and 100 tasks',
  },
  async measure({ rounds }, wanted) {
    const systems: System[] = [];
    const start = async (waiting: number) => {
      const system = await System.start();
      systems.push(system);
      return await backlogOf(system, waiting);
    };
    try {
      const rows: Row[] = [];
      const empty = await start(0);
      const full = await start(MILLION);
      if (wanted.has('million')) rows.push(...(await millionRows(rounds, empty, full)));
      if (wanted.has('growth')) {
        rows.push(...(await waitingRows(rounds, [empty, await start(100_000), full])));
        // A million jobs less beside what follows.
        await full.system.stop();
        rows.push(...(await typesRows(rounds)));
      }
      return rows;
    } finally {
      for (const system of systems) await system.stop();
    }
  },
};
