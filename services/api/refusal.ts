import { type ErrorCode, errorCodes } from '../../shared/error-codes.ts';
import { FastTaskError } from '../../shared/errors.ts';

/** A request that the API does not serve, with the status, the text and the headers of its answer. */
export class Refusal extends FastTaskError {
  readonly headers: Readonly<Record<string, string>>;

  constructor(code: ErrorCode, detail: string, headers: Record<string, string> = {}) {
    super(code, errorCodes[code].status, detail);
    this.headers = headers;
  }
}

/** 405 with the methods that the path does know. */
export function methodNotAllowed(allowed: readonly string[]): Refusal {
  return new Refusal('method_not_allowed', 'Method Not Allowed', { allow: allowed.join(', ') });
}
