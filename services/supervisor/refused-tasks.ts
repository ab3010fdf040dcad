import { join } from 'node:path';
import { endOfFile } from './end-of-file.ts';
import type { Installation } from './installation.ts';

/** Bytes of the consumer's log that are looked at: what it says of its tasks, it says at its start. */
const LOG_BYTES = 256 * 1024;

/**
 * Says which task files the consumer has refused, and why.
 * @param since milliseconds since 1970: what is older is of an earlier start
 */
export function sayRefusedTasks({ config, say }: Pick<Installation, 'config' | 'say'>, since: number): void {
  let log = '';
  try {
    log = endOfFile(join(config.dirs.log, 'consumer.log'), LOG_BYTES);
  } catch {
    // A master has no consumer.
  }
  const refused = log.split('\n').flatMap((line) => (line.includes('"task.refused"') ? refusalIn(line, since) : []));
  // Each process of the consumer has said it.
  for (const text of new Set(refused)) say(text);
}

function refusalIn(line: string, since: number): string[] {
  try {
    const { time, file, reason } = JSON.parse(line) as Readonly<Record<string, unknown>>;
    return Date.parse(String(time)) >= since ? [`refused ${file}: ${String(reason).split('\n')[0]}`] : [];
  } catch {
    return [];
  }
}
