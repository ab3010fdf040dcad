/** Values that fit a JSON Schema (draft 2020-12, as far as zod writes it). */
import fc, { type Arbitrary } from 'fast-check';
import { z } from 'zod';

const schema = z.object({
  $ref: z.string().optional(),
  type: z.union([z.string(), z.array(z.string())]).optional(),
  const: z.unknown().optional(),
  enum: z.array(z.unknown()).optional(),
  minimum: z.number().optional(),
  maximum: z.number().optional(),
  exclusiveMinimum: z.number().optional(),
  exclusiveMaximum: z.number().optional(),
  minLength: z.number().optional(),
  maxLength: z.number().optional(),
  pattern: z.string().optional(),
  minItems: z.number().optional(),
  maxItems: z.number().optional(),
  required: z.array(z.string()).optional(),
  get properties() {
    return z.record(z.string(), schema).optional();
  },
  get additionalProperties() {
    return z.union([z.boolean(), schema]).optional();
  },
  get items() {
    return z.union([z.boolean(), schema]).optional();
  },
  get prefixItems() {
    return z.array(schema).optional();
  },
  get anyOf() {
    return z.array(schema).optional();
  },
  get oneOf() {
    return z.array(schema).optional();
  },
  get allOf() {
    return z.array(schema).optional();
  },
});

export type Schema = z.infer<typeof schema>;

/** What fast-check makes of a schema without any rule, and what JSON.parse gives. */
export type Json = unknown;

const document = z.looseObject({ paths: z.record(z.string(), z.unknown()) });
const operation = z.object({
  post: z.object({ requestBody: z.object({ content: z.object({ 'application/json': z.object({ schema }) }) }) }),
});

/** Levels below which optional parts are left out, so that a schema that contains itself ends. */
const DEEPEST = 4;

/** The schemas of an OpenAPI document, with references followed. */
export class Schemas {
  readonly #document: z.infer<typeof document>;
  readonly #named = new Map<string, Schema>();

  /** @throws ZodError when it is no OpenAPI document as the API writes it */
  constructor(openApi: unknown) {
    this.#document = document.parse(openApi);
  }

  /** The schema of the body that `POST path` takes. */
  bodyOf(path: string): Schema {
    return operation.parse(this.#document.paths[path]).post.requestBody.content['application/json'].schema;
  }

  has(path: string): boolean {
    return this.#document.paths[path] !== undefined;
  }

  /** Follows a reference and joins the parts of an `allOf`. */
  resolve(given: Schema): Schema {
    if (given.$ref !== undefined) return this.resolve(this.#at(given.$ref));
    if (given.allOf === undefined) return given;
    const { allOf, ...own } = given;
    const parts = [own, ...allOf.map((part) => this.resolve(part))];
    const properties = Object.assign({}, ...parts.map((part) => part.properties));
    return { ...Object.assign({}, ...parts), properties, required: parts.flatMap(({ required = [] }) => required) };
  }

  /** What a JSON Pointer such as `#/components/schemas/noop.Params` leads to. */
  #at(pointer: string): Schema {
    const known = this.#named.get(pointer);
    if (known !== undefined) return known;
    const parts = pointer
      .split('/')
      .slice(1)
      .map((part) => decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~'));
    const found = schema.parse(parts.reduce<unknown>((value, part) => Reflect.get(Object(value), part), this.#document));
    this.#named.set(pointer, found);
    return found;
  }

  /** Values that fit; the same instance for the same schema would share nothing, so it is built once by the caller. */
  valuesOf(given: Schema, depth = 0): Arbitrary<Json> {
    const known = this.resolve(given);
    const inner = (part: Schema) => this.valuesOf(part, depth + 1);
    if (known.const !== undefined) return fc.constant(known.const);
    if (known.enum !== undefined) return fc.constantFrom(...known.enum);
    const branches = known.anyOf ?? known.oneOf;
    if (branches !== undefined) return fc.oneof(...branches.map(inner));
    if (Array.isArray(known.type)) return fc.oneof(...known.type.map((type) => inner({ ...known, type })));
    switch (known.type) {
      case 'string':
        return texts(known);
      case 'integer':
        return fc.integer(integerRange(known));
      case 'number':
        return numbers(known);
      case 'boolean':
        return fc.boolean();
      case 'null':
        return fc.constant(null);
      case 'array':
        return this.#arrays(known, depth);
      case 'object':
        return this.#objects(known, depth);
      default:
        return fc.jsonValue({ maxDepth: 2 });
    }
  }

  #arrays({ prefixItems, items, minItems = 0, maxItems = 6 }: Schema, depth: number): Arbitrary<Json> {
    if (prefixItems !== undefined) return fc.tuple(...prefixItems.map((item) => this.valuesOf(item, depth + 1)));
    const maxLength = depth >= DEEPEST ? minItems : Math.min(maxItems, minItems + 5);
    if (maxLength === 0) return fc.constant([]);
    return fc.array(this.valuesOf(typeof items === 'object' ? items : {}, depth + 1), { minLength: minItems, maxLength });
  }

  #objects({ properties = {}, required = [], additionalProperties }: Schema, depth: number): Arbitrary<Json> {
    const names = Object.keys(properties).filter((name) => depth < DEEPEST || required.includes(name));
    const parts = Object.fromEntries(names.map((name) => [name, this.valuesOf(properties[name] ?? {}, depth + 1)]));
    const named = fc.record(parts, { requiredKeys: names.filter((name) => required.includes(name)) });
    if (typeof additionalProperties !== 'object') return named;
    return fc.dictionary(fc.string({ maxLength: 8 }), this.valuesOf(additionalProperties, depth + 1), { maxKeys: 4 });
  }
}

function texts({ pattern, minLength = 0, maxLength = minLength + 12 }: Schema): Arbitrary<string> {
  if (pattern !== undefined) return fc.stringMatching(new RegExp(pattern));
  const length = { minLength, maxLength: Math.min(maxLength, minLength + 12) };
  return fc.oneof(fc.string(length), fc.string({ ...length, unit: 'binary' }));
}

function integerRange({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }: Schema): { min: number; max: number } {
  const min = minimum ?? (exclusiveMinimum === undefined ? Number.MIN_SAFE_INTEGER : exclusiveMinimum + 1);
  const max = maximum ?? (exclusiveMaximum === undefined ? Number.MAX_SAFE_INTEGER : exclusiveMaximum - 1);
  return { min, max };
}

function numbers({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }: Schema): Arbitrary<number> {
  return fc.double({
    min: exclusiveMinimum ?? minimum ?? -Number.MAX_VALUE,
    max: exclusiveMaximum ?? maximum ?? Number.MAX_VALUE,
    minExcluded: exclusiveMinimum !== undefined,
    maxExcluded: exclusiveMaximum !== undefined,
    noNaN: true,
  });
}
