/** Reads a request's JSON body, within its limits and whatever its content type says. */
import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import { ValidationError } from '../../shared/errors.ts';
import { findJsonFault } from './json-fault.ts';
import { Refusal } from './refusal.ts';

export interface JsonBody {
  /** Undefined when there was no body, or `null`. */
  value: unknown;
  /** Bytes read. */
  length: number;
}

/** How long the body of a request may take to arrive, in milliseconds. */
const BODY_MS = 120_000;

export interface JsonLimits {
  /** Longest body in bytes. */
  bodyMaxBytes: number;
  /** Deepest nesting of arrays and objects. */
  jsonMaxDepth: number;
}

/**
 * Reads and parses a body.
 * @throws Refusal 400 (not UTF-8, nested too deep, cut off), 408 (too slow), 413 (too long), 415 (compressed)
 * @throws ValidationError json_invalid with the position
 */
export async function readJsonBody(request: IncomingMessage, limits: JsonLimits): Promise<JsonBody> {
  const bytes = await readBytes(request, limits.bodyMaxBytes);
  return { value: bytes.length === 0 ? undefined : parseJson(decode(bytes), limits.jsonMaxDepth), length: bytes.length };
}

async function readBytes(request: IncomingMessage, limit: number): Promise<Buffer> {
  const encoding = request.headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    throw new Refusal('encoding_unsupported', `The body must not be compressed, but content-encoding says ${encoding}`);
  }
  if (Number(request.headers['content-length'] ?? 0) > limit) throw tooLong(limit);
  const bytes = request.complete ? readNow(request) : await collect(request, limit);
  if (bytes.length > limit) throw tooLong(limit);
  return bytes;
}

/** A body that has arrived as a whole, as short ones do together with their headers. */
function readNow(request: IncomingMessage): Buffer {
  const bytes: unknown = request.read();
  return Buffer.isBuffer(bytes) ? bytes : Buffer.alloc(0);
}

/** A body that is on its way. Of one that is too long no more is kept. */
function collect(request: IncomingMessage, limit: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let chunks: Buffer[] = [];
    let length = 0;
    const end = (settle: () => void) => {
      clearTimeout(timer);
      request.off('data', take).off('end', whole).off('error', cut).off('close', cut);
      chunks = [];
      settle();
    };
    const take = (chunk: Buffer) => {
      length += chunk.length;
      chunks.push(chunk);
      if (length > limit) end(() => reject(tooLong(limit)));
    };
    const whole = () => {
      const bytes = Buffer.concat(chunks);
      end(() => resolve(bytes));
    };
    const cut = () => end(() => reject(unreadable()));
    // Whoever sends a byte now and then would hold the connection for ever.
    const late = () =>
      end(() => reject(new Refusal('body_slow', `The body must arrive within ${BODY_MS / 1000} s`, { connection: 'close' })));
    const timer = setTimeout(late, BODY_MS);
    if (request.destroyed) cut();
    else request.on('data', take).on('end', whole).on('error', cut).on('close', cut);
  });
}

function tooLong(limit: number): Refusal {
  return tooLarge(`The body may have at most ${limit} bytes`);
}

function tooLarge(detail: string): Refusal {
  return new Refusal('body_too_large', detail);
}

/** What some programs put before UTF-8. */
const BYTE_ORDER_MARK = '\ufeff';

function decode(bytes: Buffer): string {
  if (!isUtf8(bytes)) throw unreadable();
  const text = bytes.toString('utf8');
  return text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text;
}

function unreadable(): Refusal {
  return new Refusal('body_unreadable', 'There was an error parsing the body');
}

/** `__proto__`, also where a character of it is written as \uXXXX. */
const suspicious = /(?:_|\\u005f){2}(?:p|\\u0070)(?:r|\\u0072)(?:o|\\u006f)(?:t|\\u0074)(?:o|\\u006f)(?:_|\\u005f){2}/i;

/**
 * Parses JSON text. `null` counts as none, and keys named `__proto__` are left out, so that no later copy can meet a setter.
 * @throws Refusal 400 when nested deeper than `maxDepth`
 * @throws ValidationError json_invalid
 */
export function parseJson(text: string, maxDepth: number): unknown {
  if (text.length > maxDepth) checkShape(text, maxDepth);
  try {
    const value: unknown = JSON.parse(text);
    if (suspicious.test(text)) removeProto(value);
    return value ?? undefined;
  } catch (error) {
    const fault = findJsonFault(text);
    if (fault === undefined) throw error;
    throw new ValidationError([
      { type: 'json_invalid', loc: ['body', fault.position], msg: 'JSON decode error', input: {}, ctx: { error: fault.reason } },
    ]);
  }
}

/** Removes the keys from a value whose depth was checked. (A reviver of JSON.parse would cost seconds for a long body.) */
function removeProto(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  if (Object.hasOwn(value, '__proto__')) Reflect.deleteProperty(value, '__proto__');
  for (const inner of Array.isArray(value) ? value : Object.values(value)) removeProto(inner);
}

/** More members of objects than this are not read: an object of a million names costs seconds, and no task has so many. */
const MOST_MEMBERS = 100_000;

/** More values than this are not read: each of them may cost some ten times its text in memory. */
const MOST_VALUES = 1_000_000;

/** Refuses a text that opens more than `maxDepth` brackets at once, or has too many members or values. Without recursion, and stops at the first one too many. */
function checkShape(text: string, maxDepth: number): void {
  let depth = 0;
  let members = 0;
  let values = 0;
  let quoted = false;
  for (let at = 0; at < text.length; at += 1) {
    const character = text.charCodeAt(at);
    if (quoted) {
      if (character === 0x5c) at += 1;
      else if (character === 0x22) quoted = false;
    } else if (character === 0x22) quoted = true;
    else if (character === 0x5b || character === 0x7b) {
      depth += 1;
      if (depth > maxDepth) throw unreadable();
    } else if (character === 0x5d || character === 0x7d) depth -= 1;
    else if (character === 0x2c) {
      values += 1;
      if (values > MOST_VALUES) throw tooLarge(`A body may have at most ${MOST_VALUES} values`);
    } else if (character === 0x3a) {
      members += 1;
      if (members > MOST_MEMBERS) throw tooLarge(`The objects of a body may have at most ${MOST_MEMBERS} members`);
    }
  }
}
