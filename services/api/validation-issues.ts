/** Turns ajv's errors into the problems that clients of the older FastTask know. */
import type { ErrorObject } from 'ajv/dist/2020.js';
import type { ValidationIssue } from '../../shared/errors.ts';

/** Longest JSON of an `input`, in characters. */
const INPUT_LENGTH = 1024;

type Path = (string | number)[];

interface Finding {
  type: string;
  msg: string;
  ctx?: Record<string, unknown>;
  /** Where below the error's own place it is. */
  at?: string;
}

/** More problems of one request than this are counted, not told: the answer must not be a hundred times the request. */
export const MOST_ISSUES = 1000;

/** One issue for every problem, up to MOST_ISSUES + 1; those of a union's branches are merged where they say the same. */
export function issuesOf(errors: readonly ErrorObject[], root: unknown, loc: readonly (string | number)[]): ValidationIssue[] {
  const cut = inputCutter();
  return withoutBranches(errors)
    .slice(0, MOST_ISSUES + 1)
    .map((error) => {
      const { type, msg, ctx, at } = findingOf(error);
      const path = [...loc, ...pathOf(error.instancePath, root), ...(at === undefined ? [] : [cutName(at)])];
      const issue: ValidationIssue = { type, loc: path, msg, input: cut(error.data) };
      if (ctx !== undefined) issue.ctx = ctx;
      return issue;
    });
}

/** Longest name within a `loc`, in characters: a thousand problems of one long name would be told a thousand times. */
const NAME_LENGTH = 200;

function cutName(name: string): string {
  return name.length <= NAME_LENGTH ? name : `${name.slice(0, NAME_LENGTH)}…`;
}

/** A JSON Pointer as a path; what indexes an array is a number. */
function pathOf(pointer: string, root: unknown): Path {
  const path: Path = [];
  let value = root;
  for (const part of pointer.split('/').slice(1)) {
    const name = part.replaceAll('~1', '/').replaceAll('~0', '~');
    path.push(Array.isArray(value) ? Number(name) : cutName(name));
    value = typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
  }
  return path;
}

/** The same object may be the input of many issues; its text is made once. */
function inputCutter(): (input: unknown) => unknown {
  const known = new Map<unknown, unknown>();
  return (input) => {
    if (typeof input !== 'string' && (typeof input !== 'object' || input === null)) return input ?? null;
    if (!known.has(input)) known.set(input, cutInput(input));
    return known.get(input);
  };
}

function cutInput(input: unknown): unknown {
  const text = typeof input === 'string' ? input : JSON.stringify(input);
  return text.length <= INPUT_LENGTH ? input : `${text.slice(0, INPUT_LENGTH)}…`;
}

/**
 * A value that fits no branch of a union brings the errors of every branch. Kept are those of the branches that it was
 * meant for (they complain about more than its type); where there is none, the union's own error is.
 */
function withoutBranches(errors: readonly ErrorObject[]): ErrorObject[] {
  const kept: ErrorObject[] = [];
  for (const error of errors) {
    if (error.keyword !== 'anyOf' && error.keyword !== 'oneOf') {
      if (!wrappers.has(error.keyword)) kept.push(error);
      continue;
    }
    let start = kept.length;
    while (start > 0 && isWithin(kept[start - 1], error)) start -= 1;
    const branches = kept.splice(start);
    const meant = branches.filter((branch) => !isMismatch(branch, error));
    const types = branches.filter((branch) => isMismatch(branch, error) && branch.schema !== 'null');
    if (meant.length > 0) for (const branch of meant) kept.push(branch);
    else if (types.length === 1 && types[0] !== undefined) kept.push(types[0]);
    else kept.push({ ...error, params: { branches: types } });
  }
  return kept;
}

/** Errors that only say that others were found. */
const wrappers: ReadonlySet<string> = new Set(['if', 'propertyNames']);

function isWithin(inner: ErrorObject | undefined, outer: ErrorObject): boolean {
  return inner !== undefined && (inner.instancePath === outer.instancePath || inner.instancePath.startsWith(`${outer.instancePath}/`));
}

/** Whether an error says that the value is not this branch's at all: another type, or another tag. */
function isMismatch(error: ErrorObject, union: ErrorObject): boolean {
  return (error.keyword === 'type' && error.instancePath === union.instancePath) || error.keyword === 'const';
}

function findingOf(error: ErrorObject): Finding {
  const { keyword, params, schema } = error;
  const limit: unknown = params['limit'];
  switch (keyword) {
    case 'required':
      return { type: 'missing', msg: 'Field required', at: String(params['missingProperty']) };
    case 'type':
      return ofType(error);
    case 'exclusiveMinimum':
      return { type: 'greater_than', msg: `Input should be greater than ${limit}`, ctx: { gt: limit } };
    case 'minimum':
      return { type: 'greater_than_equal', msg: `Input should be greater than or equal to ${limit}`, ctx: { ge: limit } };
    case 'exclusiveMaximum':
      return { type: 'less_than', msg: `Input should be less than ${limit}`, ctx: { lt: limit } };
    case 'maximum':
      return { type: 'less_than_equal', msg: `Input should be less than or equal to ${limit}`, ctx: { le: limit } };
    case 'multipleOf':
      return {
        type: 'multiple_of',
        msg: `Input should be a multiple of ${params['multipleOf']}`,
        ctx: { multiple_of: params['multipleOf'] },
      };
    case 'minLength':
      return { type: 'string_too_short', msg: `String should have at least ${amount(limit, 'character')}`, ctx: { min_length: limit } };
    case 'maxLength':
      return { type: 'string_too_long', msg: `String should have at most ${amount(limit, 'character')}`, ctx: { max_length: limit } };
    case 'pattern':
      return { type: 'string_pattern_mismatch', msg: `String should match pattern '${schema}'`, ctx: { pattern: schema } };
    case 'minItems':
    case 'maxItems':
      return ofLength(keyword === 'minItems', limit, error.data);
    case 'enum':
      return literal(Array.isArray(schema) ? schema : []);
    case 'const':
      return literal([schema]);
    case 'additionalProperties':
    case 'unevaluatedProperties':
      return {
        type: 'extra_forbidden',
        msg: 'Extra inputs are not permitted',
        at: String(params['additionalProperty'] ?? params['unevaluatedProperty']),
      };
    case 'anyOf':
    case 'oneOf':
      return ofUnion(error);
    default:
      return { type: 'value_error', msg: `Value error, ${error.message ?? `it does not fit "${keyword}"`}` };
  }
}

const typeFindings: Readonly<Record<string, Finding>> = {
  number: { type: 'float_type', msg: 'Input should be a valid number' },
  integer: { type: 'int_type', msg: 'Input should be a valid integer' },
  string: { type: 'string_type', msg: 'Input should be a valid string' },
  boolean: { type: 'bool_type', msg: 'Input should be a valid boolean' },
  array: { type: 'list_type', msg: 'Input should be a valid list' },
  object: { type: 'dict_type', msg: 'Input should be a valid dictionary' },
  null: { type: 'none_required', msg: 'Input should be None' },
};

function ofType({ schema, data, parentSchema }: ErrorObject): Finding {
  const types = (Array.isArray(schema) ? schema : [schema]).map(String).filter((type, _, all) => type !== 'null' || all.length === 1);
  const [type = ''] = types;
  if (types.length > 1) return { type: 'value_error', msg: `Input should be ${types.map(wordOf).join(' or ')}` };
  if (type === 'integer' && typeof data === 'number')
    return { type: 'int_from_float', msg: 'Input should be a valid integer, got a number with a fractional part' };
  if (type === 'object' && parentSchema?.['properties'] !== undefined) {
    return { type: 'model_attributes_type', msg: 'Input should be a valid dictionary or object to extract fields from' };
  }
  return typeFindings[type] ?? { type: 'value_error', msg: `Input should be of type ${type}` };
}

function wordOf(type: string): string {
  return (typeFindings[type]?.msg ?? `of type ${type}`).replace('Input should be ', '');
}

function ofLength(tooShort: boolean, limit: unknown, data: unknown): Finding {
  const actual = Array.isArray(data) ? data.length : 0;
  const wanted = tooShort ? 'least' : 'most';
  return {
    type: tooShort ? 'too_short' : 'too_long',
    msg: `List should have at ${wanted} ${amount(limit, 'item')} after validation, not ${actual}`,
    ctx: { field_type: 'List', [tooShort ? 'min_length' : 'max_length']: limit, actual_length: actual },
  };
}

function literal(values: readonly unknown[]): Finding {
  const shown = values.map((value) => (typeof value === 'string' ? `'${value}'` : JSON.stringify(value)));
  const expected = shown.length > 1 ? `${shown.slice(0, -1).join(', ')} or ${shown.at(-1)}` : shown.join('');
  return { type: 'literal_error', msg: `Input should be ${expected}`, ctx: { expected } };
}

function ofUnion({ params, message }: ErrorObject): Finding {
  const branches: readonly ErrorObject[] = Array.isArray(params['branches']) ? params['branches'] : [];
  const constants = branches.filter(({ keyword }) => keyword === 'const');
  if (constants.length > 0) return { ...literal(constants.map(({ schema }) => schema)), ...tagOf(constants[0]) };
  const words = [...new Set(branches.map(({ schema }) => wordOf(String(schema))))];
  return { type: 'value_error', msg: words.length > 0 ? `Input should be ${words.join(' or ')}` : `Value error, ${message}` };
}

/** The tag of a tagged union is below the place of the union itself. */
function tagOf(error: ErrorObject | undefined): { at?: string } {
  const tag = error?.schemaPath.match(/properties\/([^/]+)\/const$/)?.[1];
  return tag === undefined ? {} : { at: tag };
}

function amount(limit: unknown, noun: string): string {
  return `${limit} ${noun}${limit === 1 ? '' : 's'}`;
}
