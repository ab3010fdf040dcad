/** The schemas of what requests carry beside a task's own params. */
import { ValidationError } from '../../shared/errors.ts';
import type { JobConcurrency } from '../../shared/jobs.ts';
import type { JsonBody } from './json-body.ts';
import { compile, type Validator } from './validation.ts';

export const CONCURRENCY_FIELD = 'fasttask_concurrency_params';

export const concurrencySchema = {
  type: 'object',
  description: 'At most max_concurrency jobs of this task with this key run at once, in the whole cluster.',
  required: ['concurrency_key'],
  properties: {
    concurrency_key: { type: 'string', maxLength: 1000, description: 'Jobs with the same key share the places.' },
    max_concurrency: { type: 'integer', exclusiveMinimum: 0, default: 16 },
    countdown: {
      type: 'number',
      exclusiveMinimum: 0,
      default: 60,
      description: 'Seconds after which a held job is looked at again at the latest.',
    },
    expire: {
      type: 'number',
      exclusiveMinimum: 0,
      default: 1800,
      description: 'Seconds after which the place of a job that vanished is free again.',
    },
  },
};

export const revokeSchema = {
  type: 'object',
  required: ['result_id'],
  properties: { result_id: { type: 'string', description: 'The id of the job.' } },
};

/** Jobs that one client may listen for at a time, and how long an id may be, in characters. */
const MOST_IDS = 1000;
const LONGEST_ID = 200;

export const eventsSchema = {
  type: 'object',
  required: ['ids'],
  properties: {
    ids: {
      type: 'array',
      items: { type: 'string', minLength: 1, maxLength: LONGEST_ID },
      minItems: 1,
      maxItems: MOST_IDS,
      description: 'The ids of the jobs.',
    },
  },
};

export const statusFields = ['worker_status', 'task_info', 'pending_task_count'] as const;

export type StatusField = (typeof statusFields)[number];

export const statusSchema = {
  type: 'object',
  properties: { fields: { type: 'array', items: { enum: [...statusFields] }, description: 'What to tell; nothing when left out.' } },
};

const validateConcurrency = compile(concurrencySchema, CONCURRENCY_FIELD);
const validateRevoke = compile(revokeSchema, 'revoke');
const validateEvents = compile(eventsSchema, 'events');
const validateStatus = compile(statusSchema, 'status_info');

/** @throws ValidationError */
export function revokedId(body: JsonBody): string {
  check(validateRevoke, body);
  return String(fieldOf(body.value, 'result_id'));
}

/**
 * The ids of jobs whose ends are asked for.
 * @param where they came from, with its length in bytes
 * @throws ValidationError
 */
export function askedJobs(asked: unknown, where: 'query' | 'body', length: number): string[] {
  const issues = validateEvents(asked, [where], length);
  if (issues.length > 0) throw new ValidationError(issues);
  const ids = fieldOf(asked, 'ids');
  return Array.isArray(ids) ? ids.map(String) : [];
}

/** @throws ValidationError */
export function askedFields(body: JsonBody): ReadonlySet<StatusField> {
  check(validateStatus, body);
  const asked = fieldOf(body.value, 'fields');
  return new Set(Array.isArray(asked) ? statusFields.filter((field) => asked.includes(field)) : []);
}

function check(validate: Validator, { value, length }: JsonBody): void {
  const issues = validate(value, ['body'], length);
  if (issues.length > 0) throw new ValidationError(issues);
}

function fieldOf(value: unknown, name: string): unknown {
  return isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The problems of a `fasttask_concurrency_params`; null is none. */
export function concurrencyIssues(value: unknown, loc: readonly (string | number)[], bodyBytes: number) {
  return value === null ? [] : validateConcurrency(value, loc, bodyBytes);
}

/** What a valid `fasttask_concurrency_params` asks for. */
export function concurrencyOf(value: unknown): JobConcurrency | undefined {
  if (!isObject(value)) return undefined;
  const { concurrency_key: key, max_concurrency: max = 16, countdown = 60, expire = 1800 } = value;
  return { key: String(key), max: Number(max), countdownSeconds: Number(countdown), expireSeconds: Number(expire) };
}
