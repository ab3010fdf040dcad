/** The limits that a caller may lower for one job by headers. */
import type { Config } from '../../shared/config.ts';
import { ValidationError, type ValidationIssue } from '../../shared/errors.ts';
import type { JobData } from '../../shared/jobs.ts';
import type { TaskDescriptor } from '../../shared/registry.ts';

export const HARD_HEADER = 'FastTask-Time-Limit';
export const SOFT_HEADER = 'FastTask-Soft-Time-Limit';

/** Where only the hard limit is lowered, below the soft one: what part of it the soft one becomes. */
const SOFT_SHARE = 0.9;

/**
 * The job's own limits in seconds; empty when no header asks for them.
 * @param header reads a request header, empty when there is none
 * @throws ValidationError with `loc ["header", name]` for what is no number above 0, above the task's limit, or soft not below hard
 */
export function timeLimitsOf(
  header: (name: string) => string,
  task: TaskDescriptor,
  limits: Config['limits'],
): Pick<JobData, 'softTimeLimit' | 'timeLimit'> {
  const [hardText, softText] = [header(HARD_HEADER), header(SOFT_HEADER)];
  if (hardText === '' && softText === '') return {};
  const hardMax = Math.min(task.timeLimit ?? limits.hardSeconds, limits.hardSeconds);
  const softMax = Math.min(task.softTimeLimit ?? limits.softSeconds, limits.softSeconds, hardMax);
  const issues: ValidationIssue[] = [];
  const hard = seconds(HARD_HEADER, hardText, hardMax, issues);
  const soft = seconds(SOFT_HEADER, softText, softMax, issues);
  if (issues.length === 0 && soft !== undefined && soft >= (hard ?? hardMax)) {
    issues.push({
      type: 'less_than',
      loc: ['header', SOFT_HEADER],
      msg: `Input should be less than ${hard ?? hardMax}`,
      input: softText,
      ctx: { lt: hard ?? hardMax },
    });
  }
  if (issues.length > 0) throw new ValidationError(issues);
  if (hard === undefined) return soft === undefined ? {} : { softTimeLimit: soft };
  if (soft !== undefined) return { timeLimit: hard, softTimeLimit: soft };
  return softMax < hard ? { timeLimit: hard } : { timeLimit: hard, softTimeLimit: Math.round(hard * SOFT_SHARE * 1000) / 1000 };
}

function seconds(name: string, text: string, max: number, issues: ValidationIssue[]): number | undefined {
  if (text === '') return undefined;
  const loc = ['header', name];
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isNaN(value)) issues.push({ type: 'float_type', loc, msg: 'Input should be a valid number', input: text.slice(0, 100) });
  else if (value <= 0) issues.push({ type: 'greater_than', loc, msg: 'Input should be greater than 0', input: text, ctx: { gt: 0 } });
  else if (value > max)
    issues.push({ type: 'less_than_equal', loc, msg: `Input should be less than or equal to ${max}`, input: text, ctx: { le: max } });
  return value;
}
