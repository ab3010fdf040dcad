/** What the consumer and a thread say to each other. Plain data only. */
import type { SlotBuffers } from './slots.ts';

/** Given to every thread when it is made. */
export interface ThreadSettings {
  slots: SlotBuffers;
  tasksDir: string;
}

/** One job for a thread. */
export interface JobRequest {
  slot: number;
  id: string;
  task: string;
  /** 1 for the first try. */
  attempt: number;
  /** The compiled task file (a file: URL). */
  module: string;
  params: unknown;
  softSeconds: number;
  resultMaxBytes: number;
}

/** An error without its class: what can cross the thread's border. */
export interface PlainError {
  /** Name, message and stack as a client may see them. */
  text: string;
  /** Another try may mend it. */
  retryable: boolean;
}

/** How a job ended in its thread. `replace`: the thread is not fit for another job. */
export type ThreadOutcome = { json: string; replace?: boolean } | { error: PlainError; replace?: boolean };

/** Thread → consumer, while a job runs or after it. */
export type ThreadMessage =
  | { type: 'progress'; id: string; value: unknown }
  | { type: 'log'; id: string; task: string; level: LogLevel; message: string; fields: Record<string, unknown> }
  | { type: 'late_error'; id: string; task: string; text: string };

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** Consumer → all threads, over a BroadcastChannel of this name plus the consumer's pid: a slot has a new request. */
export const CONTROL_CHANNEL = 'fasttask-control';

export interface ControlMessage {
  slot: number;
  id: string;
}
