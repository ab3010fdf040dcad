/** The places of a value at which it can be changed. */
import type { Path } from './json-text.ts';
import type { Schema, Schemas } from './schema.ts';

/** One value within a value, with the schema that it must fit. */
export interface Place {
  at: Path;
  schema: Schema;
  value: unknown;
  /** Whether no other branch of a union may take what this one refuses. */
  sure: boolean;
}

/** The value itself and everything within it, each with its schema; those in the branches of a union are not sure. */
export function placesOf(schemas: Schemas, place: Place): Place[] {
  const schema = schemas.resolve(place.schema);
  const branches = schema.anyOf ?? schema.oneOf;
  const { at, value, sure } = place;
  const here = { ...place, schema };
  if (branches !== undefined) {
    const inner = branches.flatMap((branch) => placesOf(schemas, { at, schema: branch, value, sure: false }));
    // Of the place itself the union says enough.
    return [here, ...inner.filter((one) => one.at.length > at.length)];
  }
  if (Array.isArray(value)) {
    const of = (index: number) => schema.prefixItems?.[index] ?? (typeof schema.items === 'object' ? schema.items : {});
    return [here, ...value.flatMap((item, index) => placesOf(schemas, { at: [...at, index], schema: of(index), value: item, sure }))];
  }
  if (typeof value !== 'object' || value === null) return [here];
  const more = typeof schema.additionalProperties === 'object' ? schema.additionalProperties : {};
  const inner = Object.entries(value).flatMap(([name, part]) => {
    const own = Object.hasOwn(schema.properties ?? {}, name) ? schema.properties?.[name] : undefined;
    return placesOf(schemas, { at: [...at, name], schema: own ?? more, value: part, sure });
  });
  return [here, ...inner];
}

/** The JSON types that a schema takes, or undefined when it takes any. */
export function typesOf(schemas: Schemas, given: Schema): string[] | undefined {
  const schema = schemas.resolve(given);
  const branches = schema.anyOf ?? schema.oneOf;
  if (branches === undefined) return schema.type === undefined ? undefined : [schema.type].flat();
  const all = branches.map((branch) => typesOf(schemas, branch));
  return all.some((types) => types === undefined) ? undefined : all.flatMap((types) => types ?? []);
}
