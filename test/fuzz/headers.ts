/** Headers of requests, sensible and not, with what they do to the answer. */
import fc, { type Arbitrary } from 'fast-check';

export interface Headers {
  fields: Record<string, string>;
  /** The status that these headers lead to whatever the body is: 415 or 403. */
  refused?: number;
  /** Whether the limits that they ask for are not to be had (422). */
  wrongLimits?: boolean;
}

/** A character that a header's value may hold. */
const printable = fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code));
const garbage = fc.string({ unit: printable, maxLength: 30 });

const or = (...values: string[]) => fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...values) }, { weight: 1, arbitrary: garbage });

/** Fields that change nothing of an answer but its own headers. */
const harmless: Readonly<Record<string, Arbitrary<string>>> = {
  'content-type': or(
    'application/json',
    'text/plain',
    'multipart/form-data; boundary=x',
    'application/x-www-form-urlencoded',
    'application/json; charset=utf-16',
  ),
  // Without accounts nobody is asked who they are, whatever they say.
  authorization: or('Basic Og==', 'Basic !!!', 'Basic', 'Bearer ft_x', 'basic YTpi', 'Digest username="a"', 'Negotiate AAAA'),
  'x-request-id': or('mine-1', 'x'.repeat(65), '../..', '{"a":1}'),
  'x-forwarded-for': or('10.0.0.1', '::1, 10.0.0.1', 'unknown'),
  'accept-encoding': or('gzip', 'br;q=1, *;q=0', 'identity;q=0'),
  accept: or('text/html', '*/*;q=nonsense'),
  range: or('bytes=0-0', 'bytes=-1', 'bytes=5-2', 'bytes=0-99999999999999999999', 'bytes=0-1,3-4', 'lines=1-2'),
  'if-none-match': or('*', '"x"', 'W/"', '"a", "b"'),
  'if-modified-since': or('Thu, 01 Jan 1970 00:00:00 GMT', 'yesterday'),
  'if-match': or('*', '"x"', '"a", W/"b"'),
  'if-range': or('"x"', 'Thu, 01 Jan 1970 00:00:00 GMT', 'W/"x"'),
  'if-unmodified-since': or('Thu, 01 Jan 1970 00:00:00 GMT', 'tomorrow'),
  cookie: or('a=b', '__proto__=1; constructor=2'),
};

const hardLimit = fc.constantFrom('5', '24.9', '25');
const softLimit = fc.constantFrom('0.4', '0.45');
const wrongLimit = fc.constantFrom('0', '-1', 'abc', '1e1', '26', 'Infinity', '5,5', '0x10', '9'.repeat(40), '5 5', 'NaN', '.5');

/** What `Prefer` may say to a request that is answered at once, or nearly, whatever it says. */
const prefer = or('wait=0', 'wait=1', 'respond-async, wait=0', 'wait', 'wait=-1', 'wait=1e9', 'wait=1;wait=2', 'return=minimal');

/** What `Prefer` says to /run: nearly always to wait for nothing. */
const preferOfRun = fc.oneof(
  { weight: 20, arbitrary: fc.constantFrom('wait=0', 'respond-async, wait=0', 'WAIT = "0"') },
  { weight: 1, arbitrary: fc.constantFrom('wait=1', 'wait=-1', 'nonsense') },
);

type Fields = Record<string, string>;

/** One field of a name, with one of its values. */
const field = (name: string, values: Arbitrary<string>): Arbitrary<Fields> => values.map((value) => ({ [name]: value }));

/** At most three fields, and none for most requests, so that the faults of the body are met. */
function few(known: Readonly<Record<string, Arbitrary<string>>>): Arbitrary<Fields> {
  const any = fc.oneof(...Object.entries(known).map(([name, values]) => field(name, values)));
  const some = fc.array(any, { minLength: 1, maxLength: 3 }).map((fields) => Object.assign({}, ...fields) as Fields);
  return fc.oneof({ weight: 2, arbitrary: fc.constant({}) }, { weight: 1, arbitrary: some });
}

function joined(...parts: Arbitrary<Fields>[]): Arbitrary<Headers> {
  return fc.tuple(...parts).map((fields) => ({ fields: Object.assign({}, ...fields) as Fields }));
}

/** Headers of a POST; those of a job may ask for limits of its own. */
export function headersOf(kind: 'run' | 'create' | 'other'): Arbitrary<Headers> {
  const usual = kind === 'run' ? joined(few(harmless), field('prefer', preferOfRun)).map(({ fields }) => fields) : few(harmless);
  const limits = [
    { weight: 2, arbitrary: joined(usual, field('fasttask-time-limit', hardLimit)) },
    { weight: 1, arbitrary: joined(usual, field('fasttask-soft-time-limit', softLimit)) },
    ...['fasttask-time-limit', 'FastTask-Soft-Time-Limit'].map((name) => ({
      weight: 1,
      arbitrary: joined(usual, field(name, wrongLimit)).map((headers) => ({ ...headers, wrongLimits: true })),
    })),
  ];
  const refused = (name: string, value: string, status: number) =>
    joined(usual, fc.constant({ [name]: value })).map((headers) => ({ ...headers, refused: status }));
  return fc.oneof(
    { weight: 20, arbitrary: joined(usual) },
    ...(kind === 'other' ? [] : limits),
    { weight: 1, arbitrary: refused('content-encoding', 'gzip', 415) },
    { weight: 1, arbitrary: refused('sec-fetch-site', 'cross-site', 403) },
  );
}

/** Headers of a request without a body. */
export function headersOfGet(): Arbitrary<Headers> {
  return joined(few({ ...harmless, prefer }));
}
