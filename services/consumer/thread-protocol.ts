/** What the consumer and the place where a task runs (a thread or a child process) say to each other. Plain data only. */
import type { Request, SlotBuffers } from './slots.ts';

/** Given to every thread when it is made. */
export interface ThreadSettings {
  slots: SlotBuffers;
  tasksDir: string;
  filesDir: string;
  /** Files that are not here are the master's: the consumer fetches them. */
  remoteFiles: boolean;
}

/** One job for a thread or a child process. */
export interface JobRequest {
  slot: number;
  id: string;
  task: string;
  /** The account that submitted the job; empty: nobody. */
  owner: string;
  /** It may open files of its owner alone. */
  ownFilesOnly: boolean;
  /** 1 for the first try. */
  attempt: number;
  /** The compiled task file (a file: URL). */
  module: string;
  params: unknown;
  softSeconds: number;
  resultMaxBytes: number;
  /** MiB of heap above which the thread is replaced after the job, and which a child process may not pass. */
  memoryLimit?: number;
}

/** Why a job did not succeed; decides what is tried again. */
export type FailureKind = 'error' | 'final' | 'soft_limit' | 'hard_limit';

/** An error without its class: what can cross the border. */
export interface PlainError {
  /** Name, message and stack as a client may see them. */
  text: string;
  kind: FailureKind;
}

/** How a job ended where it ran. `files`: the names of those that it has made. `replace`: the thread is not fit for another job. */
export type ThreadOutcome = { json: string; files?: string[]; replace?: boolean } | { error: PlainError; replace?: boolean };

/** One line that a job printed or logged. */
export interface OutputLine {
  level: LogLevel;
  message: string;
  fields?: Record<string, unknown>;
}

/** Jobs that a thread runs one after another, so that it need not be woken for each: one, or a few short ones. */
export type Chain = readonly JobRequest[];

/** How a job of a chain ended: a message, unless it is the last one. */
export interface ChainLink {
  slot: number;
  id: string;
  outcome: ThreadOutcome;
}

/** How a chain ended. `ran`: the slots of all that ran; messages of their ends may still be on their way. */
export interface ChainEnd {
  last: ChainLink | undefined;
  ran: number[];
}

/** Thread → consumer, while a job runs or after it. */
export type ThreadMessage =
  | { type: 'progress'; id: string; value: unknown }
  /** `dropped`: how many lines before these were too many to be told. */
  | { type: 'lines'; id: string; task: string; lines: OutputLine[]; dropped: number }
  | { type: 'late_error'; id: string | undefined; task: string | undefined; text: string }
  /** A job started a child process, or one ended. */
  | { type: 'child'; id: string; pid: number; alive: boolean }
  /** A job uses a file until its end. */
  | { type: 'file'; id: string; name: string }
  /** A job waits for a file that may not be here, or not as the master has it now. */
  | { type: 'fetch'; id: string; name: string };

/** How a fetch went: the file is here, the master has none, or it could not be brought. */
export type FetchAnswer = { name: string; missing?: true; reason?: string };

const MESSAGE_TYPES: readonly unknown[] = ['progress', 'lines', 'late_error', 'child', 'file', 'fetch'] satisfies ThreadMessage['type'][];

/** Whether something that came from a thread is one of our messages, and not what a task posted. */
export function isThreadMessage(value: unknown): value is ThreadMessage {
  if (typeof value !== 'object' || value === null || !('type' in value) || !MESSAGE_TYPES.includes(value.type)) return false;
  if (!('id' in value) || (value.type !== 'late_error' && typeof value.id !== 'string')) return false;
  if (value.type === 'child') return 'pid' in value && Number.isInteger(value.pid) && Number(value.pid) > 1;
  if (value.type === 'file' || value.type === 'fetch') return 'name' in value && typeof value.name === 'string';
  return value.type !== 'lines' || ('lines' in value && Array.isArray(value.lines) && value.lines.every(isOutputLine));
}

/** Whether something that came from a thread is the end of a job of a chain. */
export function isChainLink(value: unknown): value is ChainLink {
  if (typeof value !== 'object' || value === null || !('slot' in value) || !('id' in value) || !('outcome' in value)) return false;
  const { outcome } = value;
  return typeof outcome === 'object' && outcome !== null && (('json' in outcome && typeof outcome.json === 'string') || 'error' in outcome);
}

const LEVELS: readonly unknown[] = ['debug', 'info', 'warn', 'error'] satisfies LogLevel[];

function isOutputLine(value: unknown): value is OutputLine {
  return typeof value === 'object' && value !== null && 'level' in value && LEVELS.includes(value.level) && 'message' in value;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** Consumer → all threads, over a BroadcastChannel of this name plus the consumer's pid: something is asked of a slot's job, or answered. */
export const CONTROL_CHANNEL = 'fasttask-control';

export type ControlMessage = { slot: number; id: string } & ({ request: Request } | { fetched: FetchAnswer });

/** Consumer → child process. */
export type ToProcess =
  | { type: 'run'; request: JobRequest; tasksDir: string; filesDir: string; remoteFiles: boolean }
  | { type: 'request'; request: Request }
  | { type: 'fetched'; fetched: FetchAnswer };

/** Child process → consumer. */
export type FromProcess = { type: 'begin' } | { type: 'outcome'; outcome: ThreadOutcome } | ThreadMessage;
