/** Watches a job's two limits. Both count from the moment at which its task begins, as its thread has written it down. */
import type { Run } from './run.ts';
import { Request } from './slots.ts';

/** Node's timers hold at most this many milliseconds; longer waits are armed again. */
export const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** How often a job that has not begun (its thread is starting) is looked at again, in milliseconds. */
const NOT_BEGUN_MS = 20;

export interface LimitSeconds {
  softSeconds: number;
  hardSeconds: number;
}

/** Asks the job for a soft stop at the soft limit and `onHardLimit` at the hard one. Returns what ends the watch. */
export function watchLimits(run: Run, limits: LimitSeconds, onHardLimit: () => void): () => void {
  const steps = [
    { atMs: limits.softSeconds * 1000, act: () => run.request(Request.softStop) },
    { atMs: limits.hardSeconds * 1000, act: onHardLimit },
  ];
  let timer: NodeJS.Timeout;
  const arm = (ms: number) => {
    timer = setTimeout(look, Math.min(Math.ceil(ms), LONGEST_TIMER_MS));
  };
  const look = () => {
    const elapsed = run.elapsedMs();
    while (elapsed !== undefined && steps[0] !== undefined && elapsed >= steps[0].atMs) steps.shift()?.act();
    if (steps[0] !== undefined) arm(elapsed === undefined ? NOT_BEGUN_MS : steps[0].atMs - elapsed);
  };
  arm(limits.softSeconds * 1000);
  return () => clearTimeout(timer);
}
