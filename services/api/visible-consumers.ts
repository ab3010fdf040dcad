/** What a caller may see of the consumers and tasks, for the routes that tell what is going on. */
import { parseJobId } from '../../shared/job-id.ts';
import type { Jobs } from '../../shared/jobs.ts';
import type { ConsumerStatus, OnlineConsumer } from '../../shared/presence.ts';
import { type Caller, knowsTask, seesAll } from './caller.ts';

/** How many tasks are counted at once: each costs Redis some twenty commands of constant or logarithmic time. */
const TASKS_AT_ONCE = 16;

/** Counts something for each task, in the order given. */
export async function eachTask<T>(names: readonly string[], count: (name: string) => Promise<T>): Promise<T[]> {
  const all: T[] = [];
  for (let at = 0; at < names.length; at += TASKS_AT_ONCE) all.push(...(await Promise.all(names.slice(at, at + TASKS_AT_ONCE).map(count))));
  return all;
}

/** The consumers with those jobs and tasks only that exist for the caller. */
export async function visibleTo(caller: Caller, consumers: readonly OnlineConsumer[], jobs: Jobs): Promise<readonly OnlineConsumer[]> {
  if (caller.tasks === undefined && seesAll(caller)) return consumers;
  const active = consumers.flatMap((consumer) => consumer.active);
  const own = seesAll(caller) ? new Set(active) : await jobs.ownedBy(caller.name, active);
  const seen = (id: string) => own.has(id) && knowsTask(caller, parseJobId(id, jobs.runningId)?.task ?? '');
  return consumers.map((consumer) => ({ ...consumer, ...tasksOf(consumer, caller), active: consumer.active.filter(seen) }));
}

/** Those parts of a consumer that speak of tasks, without the tasks that do not exist for the caller. */
export function tasksOf({ tasks, digests, done }: ConsumerStatus, caller: Caller): Pick<ConsumerStatus, 'tasks' | 'digests' | 'done'> {
  const known = <T>(byTask: Record<string, T>) => Object.fromEntries(Object.entries(byTask).filter(([task]) => knowsTask(caller, task)));
  return { tasks: tasks.filter((task) => knowsTask(caller, task)), digests: known(digests), done: known(done) };
}

/** Whole seconds since a consumer was started. */
export function uptimeSeconds({ startedAt }: ConsumerStatus): number {
  return Math.max(0, Math.round((Date.now() - startedAt) / 1000));
}
