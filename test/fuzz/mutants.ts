/** Near-valid params: a valid value with one change, and what the API must make of it. */
import type { Edit } from './json-text.ts';
import { type Place, placesOf, typesOf } from './places.ts';
import type { Schema, Schemas } from './schema.ts';

/** `refused`: 400 before any schema is looked at. `unclear`: the change does not tell, as in one branch of a union. */
export type Outcome = 'valid' | 'invalid' | 'refused' | 'unclear';

export interface Mutant {
  name: string;
  edit: Edit;
  outcome: Outcome;
}

/** Texts of every JSON type, with the types of a schema that take them. */
const OF_TYPES: readonly (readonly [text: string, types: readonly string[]])[] = [
  ['"5"', ['string']],
  ['0.5', ['number']],
  ['5', ['number', 'integer']],
  ['true', ['boolean']],
  ['null', ['null']],
  ['[]', ['array']],
  ['{}', ['object']],
];

/** What is no JSON at all. */
const NO_JSON = [
  'NaN',
  '-Infinity',
  '01',
  '.5',
  '5.',
  "'x'",
  'undefined',
  '"\u0001"',
  '"\\x"',
  '"\\ud8"',
  '[1,]',
  '{"a":1,}',
  '{a:1}',
  '/**/1',
];

const LONG = `"${'x'.repeat(20_000)}"`;

/** Members whose names mean something to JavaScript. */
const PROTOTYPES = [
  '"__proto__":{"polluted":1}',
  '"__proto__":null',
  '"\\u005f_proto__":{"polluted":1}',
  '"prototype":{"polluted":1}',
  '"toString":1',
  '"hasOwnProperty":null',
  '"length":-1',
  '"":0',
];

const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
const [DEEP, TOO_DEEP, FAR_TOO_DEEP] = [nested(20), nested(70), nested(10_000)];

/**
 * Every single change of a value. At the places named by `narrowed` only those that make it invalid: others could keep the consumer busy.
 * @param schemas knows what the schema refers to
 */
export function mutantsOf(schemas: Schemas, schema: Schema, value: unknown, narrowed: ReadonlySet<string>): Mutant[] {
  return placesOf(schemas, { at: [], schema, value, sure: true }).flatMap((place) => {
    const free = !place.at.some((part) => narrowed.has(String(part)));
    const mutants = [...replacements(schemas, place), ...members(schemas, place, narrowed)];
    return mutants
      .filter(({ outcome }) => free || outcome === 'invalid')
      .map((mutant) => (place.sure || mutant.outcome === 'refused' ? mutant : { ...mutant, outcome: asUnsure(mutant.name) }));
  });
}

function asUnsure(name: string): Outcome {
  return name === 'no JSON' ? 'invalid' : 'unclear';
}

function replacements(schemas: Schemas, { at, schema }: Place): Mutant[] {
  const types = typesOf(schemas, schema);
  const set = (name: string, text: string, outcome: Outcome): Mutant => ({ name, edit: { at, text }, outcome });
  const wrong = OF_TYPES.filter(([, fitting]) => types !== undefined && !fitting.some((type) => types.includes(type)));
  const listed = schema.enum ?? (schema.const === undefined ? undefined : [schema.const]);
  return [
    ...wrong.map(([text]) => set(text === 'null' ? 'null' : 'wrong type', text, 'invalid')),
    ...NO_JSON.map((text) => set('no JSON', text, 'invalid')),
    ...(listed === undefined ? [] : ['"no such value"', '""', '{}'].map((text) => set('not in the list', text, 'invalid'))),
    ...(listed === undefined && types?.length === 1 ? ofType(types[0], schema, set) : []),
    set('too deep', FAR_TOO_DEEP, 'refused'),
    set('deep', DEEP, takesLists(types, listed)),
  ];
}

function takesLists(types: readonly string[] | undefined, listed: readonly unknown[] | undefined): Outcome {
  if (listed !== undefined) return 'invalid';
  if (types === undefined) return 'valid';
  return types.includes('array') ? 'unclear' : 'invalid';
}

type Set = (name: string, text: string, outcome: Outcome) => Mutant;

function ofType(type: string | undefined, schema: Schema, set: Set): Mutant[] {
  if (type === 'string') return ofString(schema, set);
  if (type === 'number' || type === 'integer') return ofNumber(type, schema, set);
  if (type !== 'array') return [];
  const { minItems = 0, maxItems } = schema;
  return [
    ...(minItems > 0 ? [set('too few', '[]', 'invalid')] : []),
    ...(maxItems === undefined ? [] : [set('too many', `[${new Array(maxItems + 1).fill('null').join()}]`, 'invalid')]),
  ];
}

function ofString({ pattern, minLength = 0, maxLength }: Schema, set: Set): Mutant[] {
  const fits = (text: string) =>
    text.length >= minLength && text.length <= (maxLength ?? text.length) && (pattern === undefined || new RegExp(pattern, 'u').test(text));
  const free = pattern === undefined && minLength < 2;
  return [
    ...['', 'no', 'A'.repeat((maxLength ?? 0) + 1)].map((text) =>
      set('other text', JSON.stringify(text), fits(text) ? 'valid' : 'invalid'),
    ),
    set('long text', LONG, fits(LONG.slice(1, -1)) ? 'valid' : 'invalid'),
    ...['"\\u0000"', '"\\ud800"', '"\\udc00\\ud800"', '"\\uffff\\u202e"'].map((text) => set('odd text', text, free ? 'valid' : 'unclear')),
  ];
}

function ofNumber(type: string, schema: Schema, set: Set): Mutant[] {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = schema;
  const [low, high] = [exclusiveMinimum ?? minimum, exclusiveMaximum ?? maximum];
  const beyond = [
    ...(low === undefined ? [] : [exclusiveMinimum === undefined ? low - Math.max(1, Math.abs(low) / 1e6) : low]),
    ...(high === undefined ? [] : [exclusiveMaximum === undefined ? high + Math.max(1, Math.abs(high) / 1e6) : high]),
  ];
  return [
    ...beyond.map((number) => set('out of range', JSON.stringify(number), 'invalid')),
    ...(type === 'integer' ? [set('no whole number', '0.25', 'invalid')] : []),
    set('huge number', '1e308', high === undefined ? 'valid' : 'invalid'),
    set('huge number', '-1e308', low === undefined ? 'valid' : 'invalid'),
    ...['1e999', '-1e999', '9'.repeat(400)].map((text) => set('infinite number', text, 'invalid')),
    ...['1e-999', '-0', '5.0', '1E+2'].map((text) => set('odd number', text, 'unclear')),
  ];
}

function members(schemas: Schemas, { at, schema, value }: Place, narrowed: ReadonlySet<string>): Mutant[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [];
  const { additionalProperties, properties = {}, required = [] } = schema;
  const extra = additionalProperties === false ? 'invalid' : typeof additionalProperties === 'object' ? 'unclear' : 'valid';
  const put = (name: string, behind: string, outcome: Outcome): Mutant => ({ name, edit: { at, behind }, outcome });
  const mutants: Mutant[] = [
    put('extra', '"unexpected":[{}]', extra),
    put('deep', `"unexpected":${DEEP}`, extra),
    put('too deep', `"unexpected":${TOO_DEEP}`, 'refused'),
    ...PROTOTYPES.map((member) => put('prototype', member, extra === 'valid' ? 'valid' : 'unclear')),
    put('prototype', '"constructor":{"prototype":{"polluted":1}}', 'unclear'),
    put('no JSON', '"a" 1', 'invalid'),
  ];
  for (const [name, part] of Object.entries(value)) {
    if (narrowed.has(name) && !required.includes(name)) continue;
    const [key, text] = [JSON.stringify(name), JSON.stringify(part)];
    const outcome = required.includes(name) ? 'invalid' : schema.type === 'object' && extra !== 'unclear' ? 'valid' : 'unclear';
    mutants.push({ name: 'missing', edit: { at, without: name }, outcome });
    mutants.push({
      name: 'missing',
      edit: { at, without: name, behind: `"__proto__":{${key}:${text}}` },
      outcome: outcome === 'invalid' ? outcome : 'unclear',
    });
    const [wrong] =
      OF_TYPES.find(([, fitting]) => !(typesOf(schemas, properties[name] ?? {}) ?? fitting).some((type) => fitting.includes(type))) ?? [];
    mutants.push({ name: 'twice', edit: { at, before: `${key}:${wrong ?? 'null'}` }, outcome: 'valid' });
    if (wrong !== undefined) mutants.push({ name: 'twice', edit: { at, behind: `${key}:${wrong}` }, outcome: 'invalid' });
  }
  return mutants;
}
