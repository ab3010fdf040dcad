import { type DestinationStream, type Logger, pino } from 'pino';

export type { Logger } from 'pino';

/** An open file to which whole lines are appended. */
export type Appender = DestinationStream & { on(event: 'error', listener: (error: Error) => void): unknown; flushSync(): void };

/** Lines are kept back until there are so many bytes of them, or for so many milliseconds: a write costs more than a line. */
const KEPT_BYTES = 4096;
const KEPT_MS = 100;

/** Appends to a file without waiting for the disk. What is kept back is written when the process ends in order, or by `flushSync`. */
export function appendingTo(descriptor: number): Appender {
  return pino.destination({ fd: descriptor, sync: false, minLength: KEPT_BYTES, periodicFlush: KEPT_MS });
}

/** What every line of a process carries. `runningId` is added once Redis has told it. */
export interface LogIdentity {
  service: string;
  runningId?: string;
}

/**
 * Makes the logger of a process: one JSON line per event on standard output. Call it with fields first and the event's
 * fixed name second, past tense: `log.info({ task, jobId, durationMs }, 'job.completed')`.
 * @param level pino's level names: trace debug info warn error fatal silent
 */
export function createLogger(level: string, identity: LogIdentity, destination?: DestinationStream): Logger {
  const options = {
    level,
    base: { ...identity, pid: process.pid },
    messageKey: 'event',
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}
