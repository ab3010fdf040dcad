/**
 * The one family of errors. Clients switch on `code`; `status` is the HTTP status it is answered with; `facts` says what
 * was expected and what came. Only these reach a client: everything else becomes InternalError with a request id.
 */
export class FastTaskError extends Error {
  readonly code: string;
  readonly status: number;
  readonly facts: Readonly<Record<string, unknown>>;

  constructor(code: string, status: number, message: string, facts: Record<string, unknown> = {}) {
    super(message);
    this.name = new.target.name;
    this.code = code;
    this.status = status;
    this.facts = facts;
  }
}

/** One fault of a configuration: the variable, what came (secrets already hidden) and what was expected. */
export interface ConfigFault {
  variable: string;
  value: string | undefined;
  expected: string;
}

/** A configuration with one or more faults. Nothing may start after it. */
export class ConfigError extends FastTaskError {
  readonly faults: readonly ConfigFault[];

  constructor(faults: readonly ConfigFault[]) {
    const lines = faults.map(
      ({ variable, value, expected }) => `  ${variable}${value === undefined ? ' is not set' : `=${value}`}: expected ${expected}`,
    );
    super('config_invalid', 500, `The configuration has ${faults.length} fault(s):\n${lines.join('\n')}`, { faults });
    this.faults = faults;
  }
}

/** One problem of a request, in the form that clients of the older FastTask know (`loc` is a path such as ["body","radius"]). */
export interface ValidationIssue {
  type: string;
  loc: (string | number)[];
  msg: string;
  input: unknown;
  /** Facts behind the message, such as `{ gt: 0 }`. */
  ctx?: Record<string, unknown>;
}

/** A request that does not fit its schema: 422 with every problem. */
export class ValidationError extends FastTaskError {
  readonly issues: readonly ValidationIssue[];

  constructor(issues: readonly ValidationIssue[]) {
    super('validation_failed', 422, `${issues.length} problem(s) in the request`, { issues });
    this.issues = issues;
  }
}

/** No such path, task, job or file, or one that the caller may not see: 404. */
export class NotFoundError extends FastTaskError {
  constructor(detail = 'Not Found') {
    super('not_found', 404, detail);
  }
}

/** Redis did not answer in time or refused: 503 with `retry-after`; the caller may try again. */
export class RedisUnavailableError extends FastTaskError {
  constructor(reason: string) {
    super('redis_unavailable', 503, 'The task queue is not available, try again', { reason });
  }
}

/** The code of a system error, such as ENOENT; undefined for anything else that was thrown. */
export function codeOf(thrown: unknown): unknown {
  return thrown instanceof Error && 'code' in thrown ? thrown.code : undefined;
}

/** The text of anything thrown, for a log line. */
export function messageOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  return thrown.message === '' ? thrown.name : thrown.message;
}
