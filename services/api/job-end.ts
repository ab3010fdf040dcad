import { performance } from 'node:perf_hooks';
import { hasEnded, type JobView } from '../../shared/job-state.ts';
import type { ReplyListener } from '../../shared/replies.ts';

export interface Waiting {
  id: string;
  replies: ReplyListener;
  /** How long to wait, in milliseconds. */
  ms: number;
  /** Ends the waiting early. */
  signal: AbortSignal;
  /** Reads the job's state. */
  read: () => Promise<JobView | undefined>;
  /** How long until the job is read again when nothing is told, in milliseconds, for each turn from 0. */
  pauseMs: (turn: number) => number;
}

/**
 * Waits for the end of a job: as soon as it is told, else by reading again and again.
 * @param begin runs once somebody listens, so that the end of a job it submits cannot be missed
 * @returns the job as it was last seen, ended or not; undefined when there is none any more
 */
export async function jobEnd(
  { id, replies, ms, signal, read, pauseMs }: Waiting,
  begin?: () => Promise<unknown>,
): Promise<JobView | undefined> {
  const deadline = performance.now() + ms;
  const listen = (turn: number) => replies.wait(id, Math.max(0, Math.min(pauseMs(turn), deadline - performance.now())), signal);
  let told = listen(0);
  await begin?.();
  for (let turn = 1; ; turn += 1) {
    const end = await told;
    if (end !== undefined) return end;
    // Listening goes on while the job is read: its end may come in between.
    told = listen(turn);
    const view = await read();
    if (view === undefined || hasEnded(view.state) || signal.aborted || performance.now() >= deadline) return view;
  }
}
