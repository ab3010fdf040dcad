/** How many things went on at once, from the times at which they began and ended. */
import type { Execution, Fault } from './history.ts';

/** One run of a task's code that was seen to begin and to end. */
export interface Interval {
  id: string;
  task: string;
  key: string | undefined;
  owner: number;
  from: number;
  to: number;
}

/** Runs without an end line are left out: they were ended from outside, at a time that nobody wrote down. */
export function intervalsOf(executions: readonly Execution[]): Interval[] {
  const ends = new Map(executions.filter(({ event }) => event === 'end').map((end) => [end.run, end.at]));
  return executions
    .filter(({ event }) => event === 'start')
    .flatMap(({ run, id, task, key, owner, at }) => {
      const to = ends.get(run);
      return to === undefined ? [] : [{ id, task, key, owner, from: at, to }];
    });
}

/** After a fault, what it touched counts as disturbed for so long, in milliseconds. */
const AFTERMATH_MS = 3000;

/** Whether a fault fell into an interval, or ended so shortly before that its consequences may. */
export function isTouched({ from, to }: Pick<Interval, 'from' | 'to'>, fault: Fault): boolean {
  return fault.from <= to && fault.to + AFTERMATH_MS >= from;
}

/** The first moment at which more than `most` of the intervals ran at once: those that did, or none. */
export function firstExcess(intervals: readonly Interval[], most: number): Interval[] {
  const running = new Set<Interval>();
  for (const next of [...intervals].sort((a, b) => a.from - b.from)) {
    for (const one of running) if (one.to <= next.from) running.delete(one);
    running.add(next);
    if (running.size > most) return [...running];
  }
  return [];
}
