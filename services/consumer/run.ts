/** A job where it runs: in a thread or in a child process, behind one interface. */
import type { Request } from './slots.ts';
import type { FetchAnswer, JobRequest, ThreadMessage, ThreadOutcome } from './thread-protocol.ts';

/** How a job left the place where it ran. */
export type RunEnd =
  | ThreadOutcome
  /** The thread or process ended under it: the consumer ended it, or the job did. */
  | { ended: string }
  /** The thread ended because of another job: this one is innocent. `suspect`: nobody knows which job it was. */
  | { innocent: true; suspect: boolean };

export interface Run {
  /** Settles when the job is over. Never rejects. */
  readonly end: Promise<RunEnd>;
  /** Settles when its place may be used for another: later than its end where the job was recalled. Never rejects. */
  readonly left: Promise<void>;
  /** For how many milliseconds the task has run; undefined before it begins. */
  elapsedMs(): number | undefined;
  /** How many milliseconds it took, by the clock of its thread; undefined when it did not run to its end there. */
  tookMs(): number | undefined;
  /** Asks the job for something; see Request. */
  request(request: Request): void;
  /** Tells the job how the fetch of a file went that it waits for. */
  answer(fetched: FetchAnswer): void;
  /** Ends the thread or process, whatever it does. False when the job has not begun yet. */
  terminate(): boolean;
  /** Keeps a job from beginning: it has ended then, as an innocent one. False when it has begun. */
  recall(): boolean;
}

/** Where jobs run. */
export interface RunPlace {
  run(request: Omit<JobRequest, 'slot'>): Run;
  /** Ends everything. Safe to call twice. */
  stop(): Promise<void>;
}

export interface PlaceOptions {
  tasksDir: string;
  filesDir: string;
  /** Files that are not here are the master's. */
  remoteFiles: boolean;
  onMessage: (message: ThreadMessage) => void;
}
