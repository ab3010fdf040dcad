/** Tasks of which workers have other versions than the one whose schema is served. */
import type { ConsumerStatus } from '../../shared/presence.ts';
import type { TaskDescriptor } from '../../shared/registry.ts';

export interface Conflict {
  task: string;
  /** The digest of the version whose schema is served. */
  served: string;
  /** Every other version that is in use, and who runs it. */
  others: { digest: string; workers: string[] }[];
}

/** The conflicts among these consumers, by name of the task. */
export function conflictsOf(consumers: readonly ConsumerStatus[], tasks: Iterable<TaskDescriptor>): Conflict[] {
  const conflicts: Conflict[] = [];
  for (const { name: task, digest: served } of tasks) {
    const others = new Map<string, string[]>();
    for (const { name, digests } of consumers) {
      const digest = digests[task];
      if (digest === undefined || digest === served) continue;
      const workers = others.get(digest) ?? [];
      others.set(digest, [...workers, name]);
    }
    if (others.size > 0) conflicts.push({ task, served, others: [...others].map(([digest, workers]) => ({ digest, workers })) });
  }
  return conflicts;
}
