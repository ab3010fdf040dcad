/** Checks params against a task's JSON Schema. One validator per version of a task, compiled at its first use. */

import type { ErrorObject, ValidateFunction } from 'ajv/dist/2020.js';
import { FastTaskError, messageOf, ValidationError, type ValidationIssue } from '../../shared/errors.ts';
import { interruptible } from '../../shared/interruptible.ts';
import { compileSchema } from '../../shared/json-schema.ts';
import type { JsonSchema, TaskDescriptor } from '../../shared/registry.ts';
import { issuesOf } from './validation-issues.ts';

/** A task's schema that cannot be compiled: the task's fault, not the caller's. */
export class SchemaInvalidError extends FastTaskError {
  constructor(task: string, reason: string) {
    super('schema_invalid', 500, `the params schema of ${task} cannot be compiled: ${reason}`, { task, reason });
  }
}

/** Of bodies longer than this only the first problem of an item is told: millions of faults would fill the memory. */
const ALL_ERRORS_BYTES = 256 * 1024;

/** How long a body may be checked against a schema, in milliseconds: so much, and 10 for each 100 KB. */
const CHECK_MS = 300;
const CHECK_MS_PER_BYTE = 1e-4;

/** The checks whose cost can grow without end: regular expressions, and unions of schemas that contain themselves (twice as much for each level). */
const costly = /"(pattern|patternProperties|uniqueItems|\$ref|\$dynamicRef)":/;

/** Checks a value; a body of `bodyBytes` is the whole of which it is a part. Throws ValidationError when it takes too long. */
export interface Validator {
  (value: unknown, loc: readonly (string | number)[], bodyBytes: number): ValidationIssue[];
  /** Whether the time must be watched while it runs; see `withinTime`. */
  readonly costly: boolean;
}

/**
 * Runs the checks of one body. Where a schema can be made to cost seconds (a task author's pattern or recursive union, and a body that is made for it),
 * they are interrupted in time, so that one request does not hold up the others.
 * @throws ValidationError when the time is up
 */
export function withinTime<T>(validator: Validator, bodyBytes: number, work: () => T): T {
  if (!validator.costly) return work();
  const ms = Math.round(CHECK_MS + bodyBytes * CHECK_MS_PER_BYTE);
  return interruptible(work, ms, () => {
    const msg = `Value error, it takes more than ${ms} ms to check this body against the schema of the task`;
    return new ValidationError([{ type: 'value_error', loc: ['body'], msg, input: null }]);
  });
}

/** The validators of all tasks, by name; another digest replaces the one before. */
export class Validators {
  readonly #known = new Map<string, { digest: string; validate: Validator }>();

  /** @throws SchemaInvalidError each time it is asked for a task whose schema cannot be compiled */
  of(task: TaskDescriptor): Validator {
    const known = this.#known.get(task.name);
    if (known?.digest === task.digest) return known.validate;
    const validate = compile(task.params, task.name);
    this.#known.set(task.name, { digest: task.digest, validate });
    return validate;
  }
}

/**
 * Compiles a schema (draft 2020-12).
 * @param name for the message of SchemaInvalidError
 */
export function compile(schema: JsonSchema, name: string): Validator {
  const first = compiled(schema, name, false);
  let all: ValidateFunction | undefined;
  const validate = (value: unknown, loc: readonly (string | number)[], bodyBytes: number) => {
    if (value === undefined) return [{ type: 'missing', loc: [...loc], msg: 'Field required', input: null }];
    if (first(value)) return [];
    let errors: readonly ErrorObject[] = first.errors ?? [];
    if (bodyBytes <= ALL_ERRORS_BYTES) {
      all ??= compiled(schema, name, true);
      all(value);
      errors = all.errors ?? errors;
    }
    return issuesOf(errors, value, loc);
  };
  return Object.assign(validate, { costly: costly.test(JSON.stringify(schema)) });
}

function compiled(schema: JsonSchema, name: string, allErrors: boolean): ValidateFunction {
  try {
    return compileSchema(schema, allErrors);
  } catch (error) {
    throw new SchemaInvalidError(name, messageOf(error));
  }
}
