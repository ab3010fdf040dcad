/** Requests to every route, made from what the API says of itself. */
import fc, { type Arbitrary } from 'fast-check';
import { Bodies, type Body } from './bodies.ts';
import { fileRequests } from './files.ts';
import { type Headers, headersOf, headersOfGet } from './headers.ts';
import type { ApiRequest, Kind, Spoiling } from './request.ts';
import type { Schemas } from './schema.ts';
import { strayRequests } from './strays.ts';
import { LIMITED_TASK } from './tasks.ts';

/** Statuses by what was done to the body. */
const STATUSES: Readonly<Record<Body['outcome'], readonly number[]>> = {
  valid: [200],
  invalid: [422],
  refused: [400],
  unclear: [200, 422],
  unreadable: [200, 400, 422],
};

/** How often each kind is asked, in parts of a hundred. */
const WEIGHTS = { create: 30, run: 12, batch: 8, check: 18, revoke: 10, status_info: 4, logs: 5, download: 4, upload: 3, stray: 6 };

/** Every kind of request in its share. */
export function apiRequests(schemas: Schemas, tasks: readonly string[]): Arbitrary<ApiRequest> {
  const forms: Readonly<Record<keyof typeof WEIGHTS, Arbitrary<ApiRequest>>> = {
    create: fc.oneof(...tasks.map((task) => paramsRequests('create', `/create/${task}`, task, bodiesOf(schemas, task).any()))),
    run: fc.oneof(...tasks.map((task) => paramsRequests('run', `/run/${task}`, task, bodiesOf(schemas, task).any()))),
    batch: fc.oneof(...tasks.map((task) => paramsRequests('batch', `/create/${task}/batch`, task, bodiesOf(schemas, task).batch()))),
    check: checks(tasks),
    revoke: fc.oneof({ weight: 2, arbitrary: revokesOfIds() }, { weight: 1, arbitrary: bodyRequests(schemas, 'revoke', '/revoke') }),
    status_info: bodyRequests(schemas, 'status_info', '/status_info'),
    logs: ofAnyId((id) => ({ kind: 'logs', method: 'GET', path: `/jobs/${id}/logs` }), [404]),
    download: fileRequests().download,
    upload: fileRequests().upload,
    stray: strayRequests(tasks),
  };
  const names = Object.keys(WEIGHTS).filter((name): name is keyof typeof WEIGHTS => Object.hasOwn(WEIGHTS, name));
  return fc.oneof(...names.map((name) => ({ weight: WEIGHTS[name], arbitrary: forms[name] })));
}

function bodiesOf(schemas: Schemas, task: string): Bodies {
  return new Bodies(schemas, schemas.bodyOf(`/create/${task}`), task);
}

function paramsRequests(kind: 'create' | 'run' | 'batch', path: string, task: string, bodies: Arbitrary<Body>): Arbitrary<ApiRequest> {
  return fc.tuple(bodies, headersOf(kind === 'run' ? 'run' : 'create')).map(([body, headers]) => {
    const taken = statusesOf(body, headers).flatMap((status) => {
      if (status !== 200) return [status];
      return [200, ...(kind === 'run' ? [202] : []), ...(task === LIMITED_TASK ? [429] : [])];
    });
    const ids = kind === 'batch' && body.items !== undefined ? { ids: body.items } : {};
    return { ...posted(kind, path, body, headers), statuses: taken, ...ids };
  });
}

function bodyRequests(schemas: Schemas, kind: Kind, path: string): Arbitrary<ApiRequest> {
  const bodies = new Bodies(schemas, schemas.bodyOf(path)).any();
  return fc
    .tuple(bodies, headersOf('other'))
    .map(([body, headers]) => ({ ...posted(kind, path, body, headers), statuses: statusesOf(body, headers) }));
}

function posted(kind: Kind, path: string, { text, change }: Body, { fields }: Headers): ApiRequest {
  return { kind, method: 'POST', path, headers: fields, body: text, change };
}

/** Headers refuse before the body is read, or after it was found valid. */
function statusesOf({ outcome }: Body, { refused, wrongLimits }: Headers): readonly number[] {
  if (refused !== undefined) return [refused];
  const statuses = STATUSES[outcome];
  return wrongLimits ? statuses.map((status) => (status === 200 ? 422 : status)) : statuses;
}

const spoilings = fc.oneof(
  { weight: 4, arbitrary: fc.constant<Spoiling>('none') },
  {
    weight: 3,
    arbitrary: fc.constantFrom<Spoiling>('upper case', 'cut', 'longer', 'other uuid', 'other task', 'other installation', 'NUL', 'dots'),
  },
);

const givenIds = fc.record({ nth: fc.nat(100), spoiling: spoilings });

/** Ids that nobody gave: the text as it stands in a path. */
const strangeIds = fc.oneof(
  fc.string({ minLength: 1 }),
  fc.string({ unit: 'binary', minLength: 1 }),
  fc.constantFrom('__proto__', 'constructor', '..', '%', 'x'.repeat(5000)),
);

function ofAnyId(request: (id: string) => Pick<ApiRequest, 'kind' | 'method' | 'path'>, unknown: readonly number[]): Arbitrary<ApiRequest> {
  const given = fc
    .tuple(givenIds, headersOfGet())
    .map(([id, { fields }]) => ({ ...request('{id}'), headers: fields, id, statuses: [200, ...unknown], known: [200] }));
  const strange = fc.tuple(strangeIds, headersOfGet()).map(([id, { fields }]) => ({ ...request(encodeURIComponent(id)), headers: fields }));
  return fc.oneof({ weight: 4, arbitrary: given }, { weight: 1, arbitrary: strange });
}

const ODD_QUERIES = ['', '?', '?result_id', '?result_id=', '?result_id=a&result_id=b', '?result_id[]=a', '?RESULT_ID=a', '?__proto__=a'];

function checks(tasks: readonly string[]): Arbitrary<ApiRequest> {
  const byId = ofAnyId((id) => ({ kind: 'check', method: 'GET', path: `/check/${id}` }), [404]);
  const byTask = fc.constantFrom(...tasks).chain((task) =>
    // Of another task's id nobody hears.
    ofAnyId((id) => ({ kind: 'check', method: 'GET', path: `/check/${task}?result_id=${id}` }), [404]).map(
      ({ known: _known, ...request }) => request,
    ),
  );
  const odd = fc
    .tuple(fc.constantFrom(...tasks, 'nobody'), fc.constantFrom(...ODD_QUERIES))
    .map(([task, query]): ApiRequest => ({ kind: 'check', method: 'GET', path: `/check/${task}${query}`, headers: {} }));
  return fc.oneof({ weight: 5, arbitrary: byId }, { weight: 3, arbitrary: byTask }, { weight: 1, arbitrary: odd });
}

function revokesOfIds(): Arbitrary<ApiRequest> {
  return fc.tuple(givenIds, headersOf('other')).map(([id, { fields, refused }]) => ({
    kind: 'revoke',
    method: 'POST',
    path: '/revoke',
    headers: fields,
    id,
    body: '{"result_id":"{id}"}',
    statuses: [refused ?? 200],
  }));
}
