import { isIP } from 'node:net';
import { EnvError, makeValidator } from 'envalid';

/** Builds a rule: `parse` returns the value, or undefined when the text does not fit `expected`. */
function rule<T>(expected: string, parse: (text: string) => T | undefined) {
  return makeValidator<T>((text) => {
    const value = parse(text.trim());
    if (value === undefined) throw new EnvError(expected);
    return value;
  });
}

function numberIn(text: string, min: number, max: number): number | undefined {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  return value >= min && value <= max ? value : undefined;
}

/** True/False as the Python FastTask wrote them, in any case; also 1/0, yes/no, on/off. */
export const flag = rule<boolean>('True or False', (text) => {
  const word = text.toLowerCase();
  if (['true', '1', 'yes', 'on'].includes(word)) return true;
  return ['false', '0', 'no', 'off'].includes(word) ? false : undefined;
});

/** Whole numbers from `min` to `max`. */
export function whole(min: number, max: number = Number.MAX_SAFE_INTEGER) {
  const expected = max === Number.MAX_SAFE_INTEGER ? `a whole number from ${min}` : `a whole number from ${min} to ${max}`;
  return rule<number>(expected, (text) => (/^\d+$/.test(text) ? numberIn(text, min, max) : undefined));
}

/** The longest duration taken, in seconds: one year. Node's timers end at 2^31 ms; longer ones are re-armed. */
const LONGEST_SECONDS = 366 * 86_400;

/** Seconds above `min` (exclusive unless it is itself allowed by `from`). */
export function seconds(min = 0) {
  return rule<number>(`seconds, a number above ${min} and up to ${LONGEST_SECONDS}`, (text) => {
    const value = numberIn(text, min, LONGEST_SECONDS);
    return value === min ? undefined : value;
  });
}

export const port = whole(1, 65_535);
export const bytes = whole(1);
export const taskNamePattern = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/;

/** Text that matches `pattern`. */
export function matching(pattern: RegExp, expected = `text matching ${pattern.source}`) {
  return rule<string>(expected, (text) => (pattern.test(text) ? text : undefined));
}

/** A host name or an IPv4 or IPv6 address (IPv6 with or without brackets). */
export const host = rule<string>('a host name or an IP address', (text) => {
  const bare = text.replace(/^\[(.*)\]$/, '$1');
  if (isIP(bare) !== 0) return bare;
  return /^(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?$/.test(bare) &&
    !/^[\d.]+$/.test(bare)
    ? bare
    : undefined;
});

/** Task names, separated by commas. */
export const taskNames = rule<readonly string[]>('task names separated by commas', (text) => {
  const names = text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  return names.length > 0 && names.every((name) => taskNamePattern.test(name)) ? names : undefined;
});

/** Origins (scheme://host[:port]) separated by commas. */
export const origins = rule<readonly string[]>('origins such as https://app.example.org, separated by commas', (text) => {
  const list = text.split(',').map((origin) => origin.trim());
  return list.every((origin) => URL.canParse(origin) && new URL(origin).origin === origin) ? list : undefined;
});

/** Text of at least one character. */
export const text = matching(/^.+$/s, 'text');

/** One of `words`, in the case given. */
export function oneOf<const T extends string>(...words: T[]) {
  return rule<T>(`one of ${words.join(', ')}`, (given) => words.find((word) => word === given));
}
