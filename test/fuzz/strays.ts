/** Requests to paths and with methods that nobody serves, and to the pages. */
import fc, { type Arbitrary } from 'fast-check';
import { headersOfGet } from './headers.ts';
import type { ApiRequest } from './request.ts';

const METHODS = ['GET', 'HEAD', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'POST', 'PROPFIND', 'LOCK'];

/** Paths that say nothing to the router, or too much. */
const NONSENSE = [
  '%',
  '%zz',
  '%00',
  '%2e%2e%2f',
  '%c0%af',
  '%ff',
  '%u0041',
  '..',
  '.',
  '//',
  '/',
  '\\',
  ';a=b',
  '*',
  ':task',
  '%E0%A4%A',
  '{}',
  '~',
  "'",
  '%0d%0aa:b',
];

/** Requests to the pages, to no path, with no method. */
export function strayRequests(tasks: readonly string[]): Arbitrary<ApiRequest> {
  const pages = fc.tuple(
    fc.constantFrom('/health', '/ready', '/openapi.json', '/docs', '/redoc', '/health/', '/ready?x'),
    fc.constantFrom('GET', 'HEAD'),
  );
  const parts = fc.array(
    fc.oneof(fc.constantFrom(...NONSENSE), fc.constantFrom('check', 'run', 'create', 'jobs', 'logs', 'batch', 'revoke', ...tasks)),
    { maxLength: 5 },
  );
  const paths = fc
    .tuple(parts, fc.constantFrom('', '?', '?%', '?a[b]=c&a=d', `?${'a=1&'.repeat(1500)}`, '?%00', '?result_id=%ff'))
    .map(([path, query]) => `/${path.join('/')}${query}`);
  const known = fc.constantFrom(
    '/revoke',
    '/status_info',
    '/health',
    '/upload',
    '/download',
    ...tasks.flatMap((task) => [`/create/${task}`, `/run/${task}/`]),
  );
  const target = fc.oneof(paths, known);
  return fc.oneof(
    {
      weight: 1,
      arbitrary: fc
        .tuple(pages, headersOfGet())
        .map(([[path, method], { fields }]): ApiRequest => ({ kind: 'page', method, path, headers: fields })),
    },
    {
      weight: 3,
      arbitrary: fc
        .tuple(target, fc.constantFrom(...METHODS), headersOfGet())
        .map(([path, method, { fields }]): ApiRequest => ({ kind: 'stray', method, path, headers: fields })),
    },
  );
}
