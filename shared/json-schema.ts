/** JSON Schemas of tasks, compiled: by the consumer to refuse a task that the API could not serve, by the API to check params. */
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import type { JsonSchema } from './registry.ts';

/**
 * Compiles a schema (draft 2020-12).
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
    logger: false,
    code: { regExp: Object.assign(patternOf, { code: 'patternOf' }) },
  });
  // Names by which other schemas could be reached mean nothing here, and an unknown dialect would only stop the compilation.
  const { $schema: _dialect, $id: _id, ...rest } = schema;
  return ajv.compile(rest);
}

/** A pattern with Unicode rules, or without where it was written for the older ones. */
function patternOf(pattern: string, flags: string): RegExp {
  try {
    return new RegExp(pattern, flags);
  } catch {
    return new RegExp(pattern);
  }
}
