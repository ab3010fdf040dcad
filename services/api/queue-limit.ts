import type { Jobs } from '../../shared/jobs.ts';
import type { TaskDescriptor } from '../../shared/registry.ts';
import { Refusal } from './refusal.ts';

/** Seconds after which a caller may try again: consumers take jobs all the time. */
const RETRY_AFTER = '1';

/**
 * Refuses jobs that would make a task's queue longer than its `maxWaiting`. Asks Redis only for tasks that declare it.
 * @throws Refusal 429
 */
export async function refuseWhenFull(jobs: Jobs, { name, maxWaiting }: TaskDescriptor, more: number): Promise<void> {
  if (maxWaiting === undefined) return;
  const { waiting } = await jobs.counts(name);
  if (waiting + more <= maxWaiting) return;
  throw new Refusal('queue_full', `${waiting} jobs of ${name} are waiting, and ${maxWaiting} may`, { 'retry-after': RETRY_AFTER });
}
