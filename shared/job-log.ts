/** The lines that a job wrote, kept beside it for as long as its result. */
import { taskKeys } from './job-scripts.ts';
import type { Redis } from './redis.ts';

/** One line of a job's log. */
export interface JobLogLine {
  /** ISO 8601. */
  time: string;
  level: 'debug' | 'info' | 'warn' | 'error';
  message: string;
  fields?: Record<string, unknown>;
}

/** How many lines of a job are kept: the last ones. */
const KEPT_LINES = 1000;

/**
 * Adds lines to a job's log.
 * @param keepSeconds after which the lines go even if nothing else removes them; they normally go with the job
 */
export async function appendJobLog(
  redis: Redis,
  prefix: string,
  task: string,
  id: string,
  lines: readonly JobLogLine[],
  keepSeconds: number,
): Promise<void> {
  const key = taskKeys(prefix, task).logs(id);
  const texts = lines.slice(-KEPT_LINES).map((line) => JSON.stringify(line));
  await redis
    .pipeline()
    .rpush(key, ...texts)
    .ltrim(key, -KEPT_LINES, -1)
    .expire(key, Math.ceil(keepSeconds))
    .exec();
}

/** The lines of a job's log, oldest first. */
export async function readJobLog(redis: Redis, prefix: string, task: string, id: string): Promise<JobLogLine[]> {
  const lines = await redis.lrange(taskKeys(prefix, task).logs(id), 0, -1);
  return lines.map((line) => JSON.parse(line) as JobLogLine);
}
