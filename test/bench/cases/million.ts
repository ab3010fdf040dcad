/** Calls of the API with a million waiting jobs, beside the same calls with none. */

import { type Backlog, submitted, TASK } from '../backlog.ts';
import { type Ask, load } from '../load.ts';
import { inTurn } from '../measure.ts';
import { System, type Target } from '../system.ts';
import type { Row } from '../table.ts';

const CONNECTIONS = 4;
const SECONDS = 1;

/** Jobs that are checked, or revoked, in one round. */
const SUBJECTS = 500;

/** Calls by name; each is given waiting jobs that no call has touched yet. */
const calls: Record<string, (ids: readonly string[]) => Ask[]> = {
  create: () => [{ method: 'POST', path: `/create/${TASK}`, body: '{}' }],
  check: (ids) => ids.map((id) => ({ method: 'GET', path: `/check/${id}` })),
  revoke: (ids) => ids.map((id) => ({ method: 'POST', path: '/revoke', body: JSON.stringify({ result_id: id }) })),
  status_info: () => [
    { method: 'POST', path: '/status_info', body: JSON.stringify({ fields: ['worker_status', 'task_info', 'pending_task_count'] }) },
  ],
};

/** A row for each call. */
export async function millionRows(rounds: number, empty: Backlog, full: Backlog): Promise<Row[]> {
  const apis = { empty: await empty.system.api([TASK]), full: await full.system.api([TASK]) };
  try {
    const rows: Row[] = [];
    for (const [name, asks] of Object.entries(calls)) {
      const { ours, values } = await inTurn(rounds, {
        ours: async () => await p99(apis.full, name, asks(full.ids.splice(0, SUBJECTS))),
        values: async () => {
          const time = await p99(apis.empty, name, asks(await submitted(empty.system, SUBJECTS)));
          await empty.system.dropWaiting(System.base(TASK));
          return time;
        },
      });
      const what = `${name} with ${full.waiting} waiting, p99`;
      rows.push({
        case: 'million',
        what,
        unit: 'ms',
        ours,
        floor: { what: 'with none', values },
        bar: { of: 'ratio', at: 'most', value: 2 },
      });
    }
    return rows;
  } finally {
    for (const { process } of Object.values(apis)) await process.kill9();
  }
}

async function p99(target: Target, name: string, asks: readonly Ask[]): Promise<number> {
  return (await load(target, { asks, connections: CONNECTIONS, seconds: SECONDS, once: name === 'revoke' })).p99;
}
