/** The rules for what a task declares beside its schemas. */
import type { Config } from '../../shared/config.ts';
import type { Backoff, RetryOptions } from '../../shared/task.ts';

/** Options of a task that passed the rules. */
export interface TaskOptions extends RetryOptions {
  softTimeLimit?: number;
  timeLimit?: number;
}

const MOST_RETRIES = 100;

/** Checks a task's options against the rules and the installation's limits. @returns the options, or every fault as text */
export function checkTaskOptions(options: Record<string, unknown>, limits: Config['limits']): TaskOptions | string {
  const faults: string[] = [];
  const seconds = (name: string, most: number, variable: string): number | undefined => {
    const value = options[name];
    if (value === undefined) return undefined;
    if (typeof value === 'number' && value > 0 && value <= most) return value;
    faults.push(`${name}: expected seconds above 0 and at most ${variable} (${most}), got ${JSON.stringify(value)}`);
    return undefined;
  };
  const softTimeLimit = seconds('softTimeLimit', limits.softSeconds, 'SOFT_TIME_LIMIT');
  const timeLimit = seconds('timeLimit', limits.hardSeconds, 'TIME_LIMIT');
  if (timeLimit !== undefined && softTimeLimit !== undefined && softTimeLimit >= timeLimit) {
    faults.push(`softTimeLimit: expected less than timeLimit (${timeLimit}), got ${softTimeLimit}`);
  }
  const { retries, backoff } = options;
  if (retries !== undefined && !isWhole(retries, MOST_RETRIES)) faults.push(`retries: expected a whole number from 0 to ${MOST_RETRIES}, got ${JSON.stringify(retries)}`);
  if (backoff !== undefined && !isBackoff(backoff)) {
    faults.push(`backoff: expected { type: 'fixed' | 'exponential', delaySeconds: number ≥ 0, jitter?: 0 to 1 }, got ${JSON.stringify(backoff)}`);
  }
  if (faults.length > 0) return faults.join('; ');
  return {
    ...(softTimeLimit === undefined ? {} : { softTimeLimit }),
    ...(timeLimit === undefined ? {} : { timeLimit }),
    ...(isWhole(retries, MOST_RETRIES) ? { retries } : {}),
    ...(isBackoff(backoff) ? { backoff } : {}),
  };
}

function isWhole(value: unknown, most: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= most;
}

function isBackoff(value: unknown): value is Backoff {
  if (typeof value !== 'object' || value === null) return false;
  const { type, delaySeconds, jitter }: { type?: unknown; delaySeconds?: unknown; jitter?: unknown } = value;
  const jitterFits = jitter === undefined || (typeof jitter === 'number' && jitter >= 0 && jitter <= 1);
  return (type === 'fixed' || type === 'exponential') && typeof delaySeconds === 'number' && delaySeconds >= 0 && jitterFits;
}

/** The limits of one job in seconds: the call's where it lowers the task's, the task's where it lowers the installation's. */
export function limitsOfJob(task: TaskOptions, call: { softTimeLimit?: number; timeLimit?: number }, installation: Config['limits']) {
  const hardSeconds = Math.min(call.timeLimit ?? Number.POSITIVE_INFINITY, task.timeLimit ?? installation.hardSeconds, installation.hardSeconds);
  const softSeconds = Math.min(call.softTimeLimit ?? Number.POSITIVE_INFINITY, task.softTimeLimit ?? installation.softSeconds, hardSeconds);
  return { softSeconds, hardSeconds };
}
