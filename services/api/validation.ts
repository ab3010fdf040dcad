/** Checks params against a task's JSON Schema. One validator per version of a task, compiled at its first use. */

import type { ErrorObject, ValidateFunction } from 'ajv/dist/2020.js';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { FastTaskError, messageOf, type ValidationIssue } from '../../shared/errors.ts';
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

export type Validator = (value: unknown, loc: readonly (string | number)[], bodyBytes: number) => ValidationIssue[];

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
  return (value, loc, bodyBytes) => {
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
}

function compiled(schema: JsonSchema, name: string, allErrors: boolean): ValidateFunction {
  const ajv = new Ajv2020({
    allErrors,
    strict: false,
    // 1e999 is Infinity to JSON.parse, and no number of JSON.
    strictNumbers: true,
    verbose: true,
    ownProperties: true,
    validateFormats: false,
    logger: false,
    code: { regExp: Object.assign(patternOf, { code: 'patternOf' }) },
  });
  // Names by which other schemas could be reached mean nothing here, and an unknown dialect would only stop the compilation.
  const { $schema: _dialect, $id: _id, ...rest } = schema;
  try {
    return ajv.compile(rest);
  } catch (error) {
    throw new SchemaInvalidError(name, messageOf(error));
  }
}

/** A pattern with Unicode rules, or without where it was written for the older ones. */
function patternOf(pattern: string, flags: string): RegExp {
  try {
    return new RegExp(pattern, flags);
  } catch {
    return new RegExp(pattern);
  }
}
