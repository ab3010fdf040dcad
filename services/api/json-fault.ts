/** Where and why a text is not JSON, in the words that clients of the older FastTask know. V8's own messages differ between Node versions. */

export interface JsonFault {
  /** Index of the character at which reading stopped. */
  position: number;
  reason: string;
}

class Stop extends Error {
  readonly fault: JsonFault;

  constructor(position: number, reason: string) {
    super(reason);
    this.fault = { position, reason };
  }
}

const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const space = /[ \t\n\r]*/y;

/** Finds the first fault (RFC 8259 grammar). The text's depth must have been checked before: every level is one call. */
export function findJsonFault(text: string): JsonFault | undefined {
  try {
    const end = skip(text, value(text, skip(text, 0)));
    return end === text.length ? undefined : { position: end, reason: 'Extra data' };
  } catch (error) {
    if (error instanceof Stop) return error.fault;
    throw error;
  }
}

function skip(text: string, at: number): number {
  return end(space, text, at) ?? at;
}

function end(pattern: RegExp, text: string, at: number): number | undefined {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : undefined;
}

function value(text: string, at: number): number {
  const first = text[at];
  if (first === '{') return object(text, at + 1);
  if (first === '[') return array(text, at + 1);
  if (first === '"') return string(text, at);
  for (const word of ['true', 'false', 'null']) if (text.startsWith(word, at)) return at + word.length;
  const after = end(number, text, at);
  if (after === undefined) throw new Stop(at, 'Expecting value');
  return after;
}

function object(text: string, start: number): number {
  let at = skip(text, start);
  if (text[at] === '}') return at + 1;
  for (;;) {
    if (text[at] !== '"') throw new Stop(at, 'Expecting property name enclosed in double quotes');
    at = skip(text, string(text, at));
    if (text[at] !== ':') throw new Stop(at, "Expecting ':' delimiter");
    at = skip(text, value(text, skip(text, at + 1)));
    if (text[at] === '}') return at + 1;
    if (text[at] !== ',') throw new Stop(at, "Expecting ',' delimiter");
    at = skip(text, at + 1);
  }
}

function array(text: string, start: number): number {
  let at = skip(text, start);
  if (text[at] === ']') return at + 1;
  for (;;) {
    at = skip(text, value(text, at));
    if (text[at] === ']') return at + 1;
    if (text[at] !== ',') throw new Stop(at, "Expecting ',' delimiter");
    at = skip(text, at + 1);
  }
}

function string(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at += 1) {
    const character = text.charCodeAt(at);
    if (character === 0x22) return at + 1;
    if (character < 0x20) throw new Stop(at, 'Invalid control character at');
    if (character !== 0x5c) continue;
    at += 1;
    const escaped = text[at];
    if (escaped === undefined) break;
    if (escaped === 'u') {
      if (!/^[\da-fA-F]{4}$/.test(text.slice(at + 1, at + 5))) throw new Stop(at, 'Invalid \\uXXXX escape');
      at += 4;
    } else if (!'"\\/bfnrt'.includes(escaped)) throw new Stop(at - 1, 'Invalid \\escape');
  }
  throw new Stop(start, 'Unterminated string starting at');
}
