/** JSON Schemas of tasks: checked by the consumer, to refuse a task that the API could not serve, and compiled by both. */
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import type { JsonSchema } from './registry.ts';

let rules: Ajv2020 | undefined;

/**
 * Checks a schema against the rules of draft 2020-12. They are compiled once, for all schemas: it takes longer than compiling any of these.
 * @throws Error that says what is wrong with it
 */
export function checkSchema(schema: JsonSchema): void {
  rules ??= new Ajv2020({ strict: false, validateFormats: false, logger: false });
  if (rules.validateSchema(withoutNames(schema)) !== true) throw new Error(`schema is invalid: ${rules.errorsText()}`);
}

/**
 * Compiles a schema (draft 2020-12), which may break the rules in what it does not use.
 * @param allErrors whether a check goes on behind the first problem
 * @throws Error that says what is wrong with the schema
 */
export function compileSchema(schema: JsonSchema, allErrors: boolean): ValidateFunction {
  const ajv = new Ajv2020({
    allErrors,
    strict: false,
    // 1e999 is Infinity to JSON.parse, and no number of JSON.
    strictNumbers: true,
    verbose: true,
    ownProperties: true,
    validateFormats: false,
    validateSchema: false,
    logger: false,
    code: { regExp: Object.assign(patternOf, { code: 'patternOf' }) },
  });
  return ajv.compile(withoutNames(schema));
}

/** Names by which other schemas could be reached mean nothing here, and an unknown dialect would only stop the compilation. */
function withoutNames({ $schema: _dialect, $id: _id, ...rest }: JsonSchema): JsonSchema {
  return rest;
}

/** A pattern with Unicode rules, or without where it was written for the older ones. */
function patternOf(pattern: string, flags: string): RegExp {
  try {
    return new RegExp(pattern, flags);
  } catch {
    return new RegExp(pattern);
  }
}
