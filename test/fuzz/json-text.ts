/** JSON text of a value with one change in it that JSON.stringify cannot make. */

export type Path = readonly (string | number)[];

/** One change at one place. */
export interface Edit {
  at: Path;
  /** Text that stands there instead of the value. */
  text?: string;
  /** Members put before those of an object, as text such as `"a":1`. */
  before?: string;
  /** Members put behind those of an object. */
  behind?: string;
  /** A member of an object that is left out. */
  without?: string;
}

/** Writes a value as JSON with the change made. */
export function jsonText(value: unknown, edit: Edit | undefined, path: Path = []): string {
  const here = edit !== undefined && isSame(edit.at, path) ? edit : undefined;
  if (here?.text !== undefined) return here.text;
  if (Array.isArray(value)) return `[${value.map((item, index) => jsonText(item, edit, [...path, index])).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value)
    .filter(([name]) => name !== here?.without)
    .map(([name, inner]) => `${JSON.stringify(name)}:${jsonText(inner, edit, [...path, name])}`);
  return `{${[here?.before, ...members, here?.behind].filter((member) => member !== undefined).join(',')}}`;
}

function isSame(one: Path, other: Path): boolean {
  return one.length === other.length && one.every((part, index) => part === other[index]);
}
