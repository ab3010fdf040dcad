/** The error answers of the OpenAPI document, from the registry of error codes. */
import { type ErrorCode, errorCodes } from '../../shared/error-codes.ts';
import { ERROR_HEADER } from './answer-error.ts';
import { reference } from './openapi-schemas.ts';

type Fragment = Record<string, unknown>;

/** An answer with a JSON body. */
export function answer(description: string, schema: Fragment, example?: unknown): Fragment {
  return { description, content: { 'application/json': example === undefined ? { schema } : { schema, example } } };
}

/** Headers of errors beside the code, by status. */
const headersOf: Readonly<Record<number, Fragment>> = {
  401: { 'www-authenticate': { schema: { const: 'Basic' } } },
  405: { allow: { schema: { type: 'string' }, description: 'The methods of this path.' } },
  429: { 'retry-after': { schema: { type: 'integer' }, description: 'Seconds.' } },
  503: { 'retry-after': { schema: { type: 'integer' }, description: 'Seconds.' } },
};

/** An example of `detail`, by status. */
const exampleOf: Readonly<Record<number, unknown>> = {
  401: { detail: 'Not authenticated' },
  404: { detail: 'Not Found' },
  422: { detail: [{ type: 'missing', loc: ['body', 'radius'], msg: 'Field required', input: {} }] },
  500: { detail: 'Internal Server Error', request_id: '0199d4a5-7c1e-7a30-8f52-3a0c6f1f9b7e' },
};

/** `components.responses`: one for every status of an error, with the codes that it can carry. */
export function errorResponses(): Record<string, Fragment> {
  const statuses = [...new Set(Object.values(errorCodes).map(({ status }) => status))];
  return Object.fromEntries(statuses.map((status) => [nameOf(status), errorResponse(status)]));
}

function errorResponse(status: number): Fragment {
  const codes = (Object.keys(errorCodes) as ErrorCode[]).filter((code) => errorCodes[code].status === status);
  const description = codes
    .map((code) => (codes.length === 1 ? errorCodes[code].meaning : `\`${code}\`: ${errorCodes[code].meaning}`))
    .join('\n\n');
  const schema = reference(status === 422 ? 'ValidationProblem' : status === 500 ? 'InternalProblem' : 'Problem');
  return {
    ...answer(description, schema, exampleOf[status]),
    headers: { [ERROR_HEADER]: { schema: { enum: codes } }, 'x-request-id': { schema: { type: 'string' } }, ...headersOf[status] },
  };
}

function nameOf(status: number): string {
  return `Error${status}`;
}

/** References to the error answers of an operation, by status. */
export function errors(...statuses: number[]): Fragment {
  return Object.fromEntries(statuses.map((status) => [String(status), { $ref: `#/components/responses/${nameOf(status)}` }]));
}

/** What every operation that asks for credentials can answer, and what one with a JSON body can answer beside it. */
export const always = errors(401, 403, 422, 429, 500, 503);
export const withBody = errors(400, 408, 413, 415);
