/** Systems in which jobs wait. */
import { noopTasks } from './scale-tasks.ts';
import type { System } from './system.ts';

/** The task whose jobs wait. */
export const TASK = 'noop';

/** Ids that are kept of a backlog. */
const KEPT = 20_000;

/** Jobs of one call that fills a queue, and calls in flight. */
const FILLED = 1000;
const IN_FLIGHT = 4;

/** A system in which this many no-op jobs wait, and no consumer runs. */
export interface Backlog {
  system: System;
  waiting: number;
  /** The tasks folder of its consumers. */
  tasksDir: string;
  /** The youngest jobs that wait, as many as are kept: a drain does not reach them. */
  ids: string[];
}

/** Fills a system. @param waiting jobs, a multiple of 1,000 */
export async function backlogOf(system: System, waiting: number): Promise<Backlog> {
  const tasksDir = noopTasks([TASK]);
  const consumer = await system.consumer({ TASKS_DIR: tasksDir });
  // From here on the task is known, and what is submitted waits.
  await consumer.stop();
  const ids: string[] = [];
  let left = waiting;
  const lane = async () => {
    while (left > 0) {
      left -= FILLED;
      ids.push(...(await submitted(system, FILLED)));
      if (ids.length > 2 * KEPT) ids.splice(0, ids.length - KEPT);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
  return { system, waiting, tasksDir, ids };
}

/** Submits no-op jobs. @returns their ids */
export async function submitted({ queue }: System, jobs: number): Promise<string[]> {
  return await queue.jobs.submitAll(
    queue.task(TASK),
    Array.from({ length: jobs }, () => ({ params: {} })),
  );
}
