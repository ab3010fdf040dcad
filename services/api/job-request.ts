/** From a request to what is stored with a job: params that fit the task's schema, limits, and the place it must hold. */
import type { Config } from '../../shared/config.ts';
import { ValidationError, type ValidationIssue } from '../../shared/errors.ts';
import type { JobData } from '../../shared/jobs.ts';
import { seesAll } from './caller.ts';
import { CONCURRENCY_FIELD, concurrencyIssues, concurrencyOf, isObject } from './request-schemas.ts';
import type { Context } from './route.ts';
import { timeLimitsOf } from './time-limits.ts';
import { type Validator, type Validators, withinTime } from './validation.ts';
import { MOST_ISSUES } from './validation-issues.ts';

export const BATCH_MAX = 10_000;

/** @throws ValidationError with every problem of the body, or those of the headers */
export function jobDataOf(ctx: Context, validators: Validators, limits: Config['limits']): JobData {
  const { task, body } = ctx.state;
  const issues: ValidationIssue[] = [];
  const validate = validators.of(task);
  const data = withinTime(validate, body.length, () => dataOf(body.value, { validate, loc: ['body'], bodyBytes: body.length }, issues));
  refuse(issues);
  return { ...data, ...ownFiles(ctx), ...timeLimitsOf((name) => ctx.get(name), task, limits) };
}

/** The same for a batch: a list of params. @throws ValidationError */
export function batchDataOf(ctx: Context, validators: Validators, limits: Config['limits']): JobData[] {
  const { task, body } = ctx.state;
  const list = batchOf(body.value);
  const validate = validators.of(task);
  const issues: ValidationIssue[] = [];
  const batch = withinTime(validate, body.length, () =>
    list.map((item: unknown, index) => {
      if (issues.length > MOST_ISSUES) return { params: undefined };
      // Undefined would mean that there is no body; an item that is null is one of the wrong type.
      return dataOf(item, { validate, loc: ['body', index], bodyBytes: body.length }, issues);
    }),
  );
  refuse(issues);
  const own = { ...ownFiles(ctx), ...timeLimitsOf((name) => ctx.get(name), task, limits) };
  return batch.map((data) => ({ ...data, ...own }));
}

/** What the caller does not see, their jobs must not read for them. */
function ownFiles({ state: { caller } }: Context): Pick<JobData, 'ownFilesOnly'> {
  return seesAll(caller) ? {} : { ownFilesOnly: true };
}

/** @throws ValidationError when there are problems */
function refuse(issues: readonly ValidationIssue[]): void {
  if (issues.length === 0) return;
  if (issues.length <= MOST_ISSUES) throw new ValidationError(issues);
  const rest: ValidationIssue = {
    type: 'value_error',
    loc: ['body'],
    msg: `Value error, only the first ${MOST_ISSUES} problems are told`,
    input: null,
  };
  throw new ValidationError([...issues.slice(0, MOST_ISSUES), rest]);
}

function batchOf(value: unknown): readonly unknown[] {
  const loc = ['body'];
  if (value === undefined) throw new ValidationError([{ type: 'missing', loc, msg: 'Field required', input: null }]);
  if (!Array.isArray(value)) {
    const input = JSON.stringify(value).length > 1024 ? null : value;
    throw new ValidationError([{ type: 'list_type', loc, msg: 'Input should be a valid list', input }]);
  }
  if (value.length >= 1 && value.length <= BATCH_MAX) return value;
  const short = value.length === 0;
  const limit = short ? '1 item' : `${BATCH_MAX} items`;
  const ctx = { field_type: 'List', ...(short ? { min_length: 1 } : { max_length: BATCH_MAX }), actual_length: value.length };
  throw new ValidationError([
    {
      type: short ? 'too_short' : 'too_long',
      loc,
      msg: `List should have at ${short ? 'least' : 'most'} ${limit} after validation, not ${value.length}`,
      input: short ? [] : null,
      ctx,
    },
  ]);
}

interface Place {
  validate: Validator;
  loc: readonly (string | number)[];
  bodyBytes: number;
}

function dataOf(value: unknown, { validate, loc, bodyBytes }: Place, issues: ValidationIssue[]): JobData {
  if (!isObject(value) || !Object.hasOwn(value, CONCURRENCY_FIELD)) {
    issues.push(...validate(value, loc, bodyBytes));
    return { params: value };
  }
  const { [CONCURRENCY_FIELD]: place, ...params } = value;
  issues.push(...validate(params, loc, bodyBytes), ...concurrencyIssues(place, [...loc, CONCURRENCY_FIELD], bodyBytes));
  const concurrency = concurrencyOf(place);
  return concurrency === undefined ? { params } : { params, concurrency };
}
