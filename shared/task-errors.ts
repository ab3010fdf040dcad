/** The errors of a running task, and their form for the trip across the thread. */

/** Thrown into a task at its soft limit: by `ctx.check()`, and as the reason of `ctx.signal`. */
export class SoftTimeLimitExceeded extends Error {
  override readonly name = 'SoftTimeLimitExceeded';
  readonly code = 'soft_time_limit_exceeded';
  readonly seconds: number;

  constructor(seconds: number) {
    super(`the task ran for more than ${seconds} s`);
    this.seconds = seconds;
  }
}

/** The reason of `ctx.signal` in a job that was revoked while it ran. */
export class Revoked extends Error {
  override readonly name = 'Revoked';
  readonly code = 'revoked';

  constructor() {
    super('the job was revoked');
  }
}

/** Thrown by a task whose failure another try would not mend: the job fails at once. */
export class DoNotRetryError extends Error {
  override readonly name: string = 'DoNotRetryError';
  readonly code: string = 'do_not_retry';
}

/** The params passed the JSON Schema but not the task's own schema (a refinement). Not retried. */
export class InvalidParams extends DoNotRetryError {
  override readonly name = 'InvalidParams';
  override readonly code = 'invalid_params';
}

/** What the task returned does not fit its result schema, or JSON, or RESULT_MAX_BYTES. Not retried. */
export class InvalidResult extends DoNotRetryError {
  override readonly name = 'InvalidResult';
  override readonly code = 'invalid_result';
}

/** A file in the tasks folder that is not a task; the message says what was expected. */
export class InvalidTask extends Error {
  override readonly name = 'InvalidTask';
}
