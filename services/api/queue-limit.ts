import type { Jobs } from '../../shared/jobs.ts';
import type { TaskDescriptor } from '../../shared/registry.ts';
import { Refusal } from './refusal.ts';

/** Seconds after which a caller may try again: consumers take jobs all the time. */
const RETRY_AFTER = '1';

/**
 * Refuses jobs that would make a task's queue longer than its `maxWaiting`: those held by a key and those between two tries count. Asks Redis only for tasks that declare it.
 * @throws Refusal 429
 */
export async function refuseWhenFull(jobs: Jobs, { name, maxWaiting }: TaskDescriptor, more: number): Promise<void> {
  if (maxWaiting === undefined) return;
  const { waiting, held, delayed } = await jobs.counts(name);
  const queued = waiting + held + delayed;
  if (queued + more <= maxWaiting) return;
  throw new Refusal('queue_full', `${queued} jobs of ${name} are waiting, and ${maxWaiting} may`, { 'retry-after': RETRY_AFTER });
}
