/** What a chaos run leaves behind for its checker. All times are milliseconds of the machine's monotonic clock. */

/** What a task wrote when it ran. */
export interface DiaryLine {
  event: 'start' | 'end';
  id: string;
  attempt: number;
  pid: number;
  atMs: number;
}

export type Task = 'waits' | 'limited' | 'isolated' | 'spins' | 'fails' | 'exits';

/** A job whose submission was answered with 2xx. */
export interface Acknowledged {
  id: string;
  task: Task;
  /** Its concurrency key, where it has one; two at once. */
  key?: string;
  /** When it was sent, and when the answer came. */
  sentMs: number;
  atMs: number;
}

export interface Revoke {
  id: string;
  message: string;
  atMs: number;
}

export interface Observation {
  id: string;
  /** `missing` for 404. */
  state: string;
  atMs: number;
}

export interface Fault {
  kind: string;
  target: string;
  fromMs: number;
  toMs: number;
}

export interface History {
  acknowledged: Acknowledged[];
  revokes: Revoke[];
  observations: Observation[];
  /** The last look at every acknowledged job, after the faults. */
  finals: Observation[];
  faults: Fault[];
  diary: DiaryLine[];
  /** `job.handed_back` lines of the consumers' log, by job. */
  handedBack: Record<string, number>;
  /** What is left in Redis and among the processes when all is quiet; nothing, if all is well. */
  leftovers: string[];
  concurrency: number;
  /** When the last job of the load was submitted. */
  loadEndedMs: number;
  /** Whether Redis writes every command to the disk before it answers. */
  aofAlways: boolean;
}

/** The clock of the diary. */
export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
