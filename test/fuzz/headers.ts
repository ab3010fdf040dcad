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
  cookie: or('a=b', '__proto__=1; constructor=2'),
};

const hardLimit = fc.constantFrom('5', '24.9', '25');
const softLimit = fc.constantFrom('0.4', '0.45');
const wrongLimit = fc.constantFrom('0', '-1', 'abc', '1e1', '26', 'Infinity', '5,5', '0x10', '9'.repeat(40), '5 5', 'NaN', '.5');

/** What `Prefer` may say to a request that is answered at once whatever it says. */
const prefer = or('wait=0', 'wait=1', 'respond-async, wait=0', 'wait', 'wait=-1', 'wait=1e9', 'wait=1;wait=2', 'return=minimal');

/** What `Prefer` says to /run: nearly always to wait for nothing. */
const preferOfRun = fc.oneof(
  { weight: 20, arbitrary: fc.constantFrom('wait=0', 'respond-async, wait=0', 'WAIT = "0"') },
  { weight: 1, arbitrary: fc.constantFrom('wait=1', 'wait=-1', 'nonsense') },
);

/** Headers of a POST that may ask for limits of a job of its own. */
export function headersOf(kind: 'run' | 'create' | 'other'): Arbitrary<Headers> {
  const fields = fc.record(kind === 'run' ? { ...harmless, prefer: preferOfRun } : harmless, {
    requiredKeys: kind === 'run' ? ['prefer'] : [],
  });
  // Most requests carry few headers, so that the faults of the body are met.
  const few = fc.oneof(
    { weight: 4, arbitrary: kind === 'run' ? fc.record({ prefer: preferOfRun }) : fc.constant({}) },
    { weight: 2, arbitrary: fields },
  );
  return fc.oneof(
    { weight: 20, arbitrary: few.map(plain) },
    ...(kind === 'other'
      ? []
      : [
          { weight: 2, arbitrary: withLimit(few, 'fasttask-time-limit', hardLimit) },
          { weight: 1, arbitrary: withLimit(few, 'fasttask-soft-time-limit', softLimit) },
          { weight: 1, arbitrary: withLimit(few, 'fasttask-time-limit', wrongLimit).map(({ fields }) => ({ fields, wrongLimits: true })) },
          {
            weight: 1,
            arbitrary: withLimit(few, 'FastTask-Soft-Time-Limit', wrongLimit).map(({ fields }) => ({ fields, wrongLimits: true })),
          },
        ]),
    { weight: 1, arbitrary: few.map((given) => ({ fields: { ...plain(given).fields, 'content-encoding': 'gzip' }, refused: 415 })) },
    { weight: 1, arbitrary: few.map((given) => ({ fields: { ...plain(given).fields, 'sec-fetch-site': 'cross-site' }, refused: 403 })) },
  );
}

/** Headers of a request without a body. */
export function headersOfGet(): Arbitrary<Headers> {
  const fields = fc.record({ ...harmless, prefer }, { requiredKeys: [] });
  return fc.oneof({ weight: 1, arbitrary: fc.constant({ fields: {} }) }, { weight: 1, arbitrary: fields.map(plain) });
}

/** A record of fast-check has keys that are left out; undici wants none of those. */
function plain(given: Readonly<Record<string, string | undefined>>): Headers {
  return { fields: Object.fromEntries(Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]))) };
}

function withLimit(
  few: Arbitrary<Readonly<Record<string, string | undefined>>>,
  name: string,
  limit: Arbitrary<string>,
): Arbitrary<Headers> {
  return fc.tuple(few, limit).map(([given, value]) => ({ fields: { ...plain(given).fields, [name]: value } }));
}
