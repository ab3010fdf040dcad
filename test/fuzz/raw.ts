/** Bytes that are no proper HTTP, or more of it than expected. Texts here are Latin-1: one character is one byte. */
import fc, { type Arbitrary } from 'fast-check';
import { BODY, CHUNKED, CHUNKS, ENCODINGS, FIELDS, HOSTS, LENGTHS, METHODS, TARGETS, VERSIONS } from './raw-parts.ts';

export interface RawRequest {
  kind: 'raw';
  name: string;
  bytes: string;
  /**
   * What the client does behind its last byte. `end`: it ends its side, as nothing more can come; `wait`: the server closes the
   * connection; `see`: it ends its side once nothing comes any more.
   */
  then: 'end' | 'wait' | 'see';
  /** Statuses of all answers, where they are known. */
  statuses?: readonly number[];
}

const PATH = '/create/get_circle_area';
const HOST = 'host: localhost\r\n';
const CLOSE = 'connection: close\r\n';

const post = (body: string, fields = `content-length: ${body.length}\r\n`, rest = CLOSE) =>
  `POST ${PATH} HTTP/1.1\r\n${HOST}${fields}${rest}\r\n${body}`;
const get = (target: string, fields = '', version = 'HTTP/1.1') => `GET ${target} ${version}\r\n${HOST}${fields}${CLOSE}\r\n`;

const bytes = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)), maxLength: 60 });

const of = (
  name: string,
  texts: Arbitrary<string>,
  then: RawRequest['then'] = 'see',
  statuses?: readonly number[],
): Arbitrary<RawRequest> =>
  texts.map((text) => ({ kind: 'raw', name, bytes: text, then, ...(statuses === undefined ? {} : { statuses }) }));

const pick = (list: readonly string[]) => fc.constantFrom(...list);

/** A byte of a proper request changed, left out or put in. */
function changed(text: string): Arbitrary<string> {
  const change = fc.tuple(fc.nat(text.length - 1), fc.constantFrom('change', 'leave out', 'put in'), fc.integer({ min: 0, max: 255 }));
  return fc
    .array(change, { minLength: 1, maxLength: 4 })
    .map((changes) =>
      changes.reduce(
        (now, [at, how, code]) =>
          now.slice(0, at) + (how === 'leave out' ? '' : String.fromCharCode(code)) + now.slice(how === 'put in' ? at : at + 1),
        text,
      ),
    );
}

/** Everything that a socket may say. */
export function rawRequests(): Arbitrary<RawRequest> {
  const whole = post(BODY);
  return fc.oneof(
    of(
      'pipelined',
      fc.integer({ min: 1, max: 12 }).map((count) => get('/health').replace(CLOSE, '').repeat(count) + get('/health')),
      'wait',
    ),
    of(
      'truncated JSON',
      fc.nat(BODY.length - 1).map((length) => post(BODY.slice(0, length))),
      'wait',
      [422],
    ),
    of(
      'no UTF-8',
      pick(['\xff', '\xc0\xaf', '\xed\xa0\x80', '\xf5\x80\x80\x80', '\xe2\x82']).map((odd) => post(`{"radius":"${odd}"}`)),
      'wait',
      [400],
    ),
    of(
      'bytes as a body',
      bytes.map((body) => post(body)),
      'wait',
    ),
    of(
      'body shorter than said',
      fc.integer({ min: BODY.length + 1, max: 5000 }).map((length) => post(BODY, `content-length: ${length}\r\n`)),
      'end',
    ),
    of(
      'body longer than said',
      fc.nat(BODY.length - 1).map((length) => post(BODY, `content-length: ${length}\r\n`, '')),
    ),
    of(
      'content-length',
      pick(LENGTHS).map((length) => post(BODY, `content-length: ${length}\r\n`)),
    ),
    of(
      'both lengths',
      pick(['', '0\r\n\r\n', `c\r\n${BODY}\r\n0\r\n\r\n`]).map((body) => post(body, `content-length: 5\r\n${CHUNKED}`)),
    ),
    of(
      'chunks',
      pick(CHUNKS).map((body) => post(body, CHUNKED)),
    ),
    of(
      'transfer-encoding',
      pick(ENCODINGS).map((value) => post(`c\r\n${BODY}\r\n0\r\n\r\n`, `transfer-encoding: ${value}\r\n`)),
    ),
    of(
      'fields',
      pick(FIELDS).map((field) => post(BODY, `${field}content-length: ${BODY.length}\r\n`)),
    ),
    of(
      'host',
      pick(HOSTS).map((host) => whole.replace(HOST, () => host)),
    ),
    of(
      'method',
      pick(METHODS).map((method) => whole.replace('POST', () => method)),
    ),
    of(
      'target',
      pick(TARGETS).map((target) => get(target)),
    ),
    of(
      'target in bytes',
      bytes.map((target) => get(`/${target}`)),
    ),
    of(
      'OPTIONS *',
      pick(['*', '/', '*/', '/*']).map((target) => get(target).replace('GET', 'OPTIONS')),
    ),
    of(
      'version',
      pick(VERSIONS).map((version) => get('/health', '', version)),
    ),
    of(
      'HTTP/2 preface',
      pick(['', '\0\0\0\x04\0\0\0\0\0', '\xff'.repeat(50)]).map((frame) => `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${frame}`),
    ),
    of(
      'cut off',
      fc.nat(whole.length - 1).map((length) => whole.slice(0, length)),
      'end',
    ),
    of('changed bytes', changed(whole)),
    of('bytes', bytes),
  );
}
