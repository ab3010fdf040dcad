/** The rules for what a task declares beside its schemas. */
import type { Config } from '../../shared/config.ts';
import type { Backoff, RetryOptions } from '../../shared/task.ts';

/** Options of a task that passed the rules. */
export interface TaskOptions extends RetryOptions {
  softTimeLimit?: number;
  timeLimit?: number;
  concurrency?: number;
  memoryLimit?: number;
  isolation?: 'thread' | 'process';
  maxWaiting?: number;
  /** Whether the task cleans up when it is revoked. */
  onRevoke?: true;
}

/** Checks a task's options against the rules and the installation's limits. @returns the options, or every fault as text */
export function checkTaskOptions(options: Record<string, unknown>, limits: Config['limits']): TaskOptions | string {
  const faults: string[] = [];
  const checked: TaskOptions = {};
  const check = <Name extends keyof TaskOptions>(
    name: Name,
    fits: (value: unknown) => value is NonNullable<TaskOptions[Name]>,
    expected: string,
  ) => {
    const value = options[name];
    if (value === undefined) return;
    if (fits(value)) checked[name] = value;
    else faults.push(`${name}: expected ${expected}, got ${JSON.stringify(value)}`);
  };
  check('softTimeLimit', secondsUpTo(limits.softSeconds), `seconds above 0 and at most SOFT_TIME_LIMIT (${limits.softSeconds})`);
  check('timeLimit', secondsUpTo(limits.hardSeconds), `seconds above 0 and at most TIME_LIMIT (${limits.hardSeconds})`);
  check('retries', wholeUpTo(0, MOST_RETRIES), `a whole number from 0 to ${MOST_RETRIES}`);
  check('backoff', isBackoff, "{ type: 'fixed' | 'exponential', delaySeconds: number ≥ 0, jitter?: 0 to 1 }");
  check('retryOnLimit', isBoolean, 'true or false');
  check('concurrency', wholeUpTo(1, MOST_AT_ONCE), `a whole number from 1 to ${MOST_AT_ONCE}`);
  check('memoryLimit', wholeUpTo(LEAST_MEMORY, MOST_MEMORY), `MiB, a whole number from ${LEAST_MEMORY} to ${MOST_MEMORY}`);
  check('maxWaiting', wholeUpTo(1, MOST_WAITING), `a whole number from 1 to ${MOST_WAITING}`);
  check('isolation', isIsolation, "'thread' or 'process'");
  if (options['onRevoke'] === true) checked.onRevoke = true;
  const { softTimeLimit, timeLimit } = checked;
  if (timeLimit !== undefined && softTimeLimit !== undefined && softTimeLimit >= timeLimit) {
    faults.push(`softTimeLimit: expected less than timeLimit (${timeLimit}), got ${softTimeLimit}`);
  }
  return faults.length > 0 ? faults.join('; ') : checked;
}

/** The largest values that a task may declare; MiB of heap below the least do not even load Node's own code. */
const MOST_RETRIES = 100;
const MOST_AT_ONCE = 1_000_000;
const MOST_WAITING = 1_000_000_000;
const LEAST_MEMORY = 32;
const MOST_MEMORY = 1_048_576;

function secondsUpTo(most: number) {
  return (value: unknown): value is number => typeof value === 'number' && value > 0 && value <= most;
}

function wholeUpTo(least: number, most: number) {
  return (value: unknown): value is number => typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most;
}

function isBoolean(value: unknown): value is boolean {
  return typeof value === 'boolean';
}

function isIsolation(value: unknown): value is 'thread' | 'process' {
  return value === 'thread' || value === 'process';
}

function isBackoff(value: unknown): value is Backoff {
  if (typeof value !== 'object' || value === null) return false;
  const { type, delaySeconds, jitter }: { type?: unknown; delaySeconds?: unknown; jitter?: unknown } = value;
  const jitterFits = jitter === undefined || (typeof jitter === 'number' && jitter >= 0 && jitter <= 1);
  return (type === 'fixed' || type === 'exponential') && typeof delaySeconds === 'number' && delaySeconds >= 0 && jitterFits;
}

/** The limits of one job in seconds: the call's where it lowers the task's, the task's where it lowers the installation's. */
export function limitsOfJob(task: TaskOptions, call: { softTimeLimit?: number; timeLimit?: number }, installation: Config['limits']) {
  const hardSeconds = Math.min(
    call.timeLimit ?? Number.POSITIVE_INFINITY,
    task.timeLimit ?? installation.hardSeconds,
    installation.hardSeconds,
  );
  const softSeconds = Math.min(call.softTimeLimit ?? Number.POSITIVE_INFINITY, task.softTimeLimit ?? installation.softSeconds, hardSeconds);
  return { softSeconds, hardSeconds };
}
