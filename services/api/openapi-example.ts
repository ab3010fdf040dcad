import type { JsonSchema } from '../../shared/registry.ts';
import { isObject } from './request-schemas.ts';

/** How deep an example goes: schemas may refer to themselves. */
const DEEPEST = 6;

/** A value that shows what fits a schema: the schema's own example or default where it has one. Optional fields are left out. */
export function exampleOf(schema: JsonSchema): unknown {
  return make(schema, schema, 0);
}

function make(schema: unknown, root: JsonSchema, depth: number): unknown {
  if (!isObject(schema) || depth > DEEPEST) return null;
  const { examples, $ref, allOf, anyOf, oneOf } = schema;
  const [given] = Array.isArray(examples) ? examples : [];
  if (given !== undefined) return given;
  for (const key of ['example', 'default', 'const']) if (schema[key] !== undefined) return schema[key];
  if (Array.isArray(schema['enum'])) return schema['enum'][0];
  if (typeof $ref === 'string') return make(resolved($ref, root), root, depth + 1);
  for (const branches of [anyOf, oneOf]) if (Array.isArray(branches)) return make(branches[0], root, depth + 1);
  if (Array.isArray(allOf)) return Object.assign({}, ...allOf.map((part) => make(part, root, depth + 1)).filter(isObject));
  return ofType(schema, root, depth);
}

function ofType(schema: JsonSchema, root: JsonSchema, depth: number): unknown {
  const type = Array.isArray(schema['type']) ? schema['type'][0] : schema['type'];
  switch (type) {
    case 'number':
    case 'integer':
      return number(schema);
    case 'string':
      return text(schema);
    case 'boolean':
      return true;
    case 'array':
      return Array.from({ length: Math.min(3, Math.max(1, Number(schema['minItems'] ?? 1))) }, () =>
        make(schema['items'], root, depth + 1),
      );
    case 'object':
      return object(schema, root, depth);
    default:
      return null;
  }
}

function object(schema: JsonSchema, root: JsonSchema, depth: number): Record<string, unknown> {
  const properties = isObject(schema['properties']) ? schema['properties'] : {};
  const required = Array.isArray(schema['required']) ? schema['required'].map(String) : [];
  return Object.fromEntries(required.map((name) => [name, make(properties[name], root, depth + 1)]));
}

function number(schema: JsonSchema): number {
  const { minimum, exclusiveMinimum, maximum, exclusiveMaximum, multipleOf } = schema;
  const step = typeof multipleOf === 'number' ? multipleOf : 1;
  const low = typeof exclusiveMinimum === 'number' ? exclusiveMinimum + step : minimum;
  const high = typeof exclusiveMaximum === 'number' ? exclusiveMaximum - step : maximum;
  const value = typeof low === 'number' && low > 0 ? low : step;
  return typeof high === 'number' && high < value ? high : value;
}

const formats: Readonly<Record<string, string>> = {
  date: '2026-01-31',
  'date-time': '2026-01-31T12:00:00Z',
  time: '12:00:00Z',
  email: 'someone@example.org',
  uri: 'https://example.org/',
  uuid: '0199d4a5-7c1e-7a30-8f52-3a0c6f1f9b7e',
  ipv4: '192.0.2.1',
  ipv6: '2001:db8::1',
};

function text({ format, minLength, maxLength }: JsonSchema): string {
  const known = typeof format === 'string' ? formats[format] : undefined;
  if (known !== undefined) return known;
  const value = 'text'.padEnd(Math.min(100, Number(minLength ?? 0)), 'x');
  return typeof maxLength === 'number' ? value.slice(0, maxLength) : value;
}

function resolved(pointer: string, root: JsonSchema): unknown {
  let value: unknown = root;
  for (const part of pointer.replace(/^#\/?/, '').split('/')) {
    if (part !== '') value = isObject(value) ? value[part.replaceAll('~1', '/').replaceAll('~0', '~')] : undefined;
  }
  return value;
}
