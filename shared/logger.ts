import { type DestinationStream, type Logger, pino } from 'pino';

export type { Logger } from 'pino';

/** Appends whole lines to an open file without waiting for the disk. */
export function appendingTo(descriptor: number): DestinationStream & { on(event: 'error', listener: (error: Error) => void): unknown } {
  return pino.destination({ fd: descriptor, sync: false });
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
