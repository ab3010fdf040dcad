/** The task contract: what a task file exports, and what its function is given. */

/** A Standard Schema (standardschema.dev) that can also say its JSON Schema: zod 4.2+, arktype, valibot with its converter. */
export interface TaskSchema<Output = unknown, Input = unknown> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
    readonly validate: (value: unknown) => SchemaOutcome<Output> | Promise<SchemaOutcome<Output>>;
    readonly jsonSchema: {
      readonly input: (options: JsonSchemaOptions) => Record<string, unknown>;
      readonly output: (options: JsonSchemaOptions) => Record<string, unknown>;
    };
  };
}

interface JsonSchemaOptions {
  readonly target: 'draft-2020-12';
  readonly libraryOptions?: Record<string, unknown> | undefined;
}

export type SchemaOutcome<Output> = { readonly value: Output; readonly issues?: undefined } | { readonly issues: readonly SchemaIssue[] };

export interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** How often a job that failed is tried again, and when. A revoke is never retried. */
export interface RetryOptions {
  /** How many times after the first, 0 to 100. Default 0. */
  retries?: number;
  /** The pause before each retry. Default: 1 s, exponential. */
  backoff?: Backoff;
  /** Try again also when a limit ended the job. Default false. */
  retryOnLimit?: boolean;
}

export interface Backoff {
  /** `fixed`: always delaySeconds; `exponential`: delaySeconds × 2^(attempt − 1). */
  type: 'fixed' | 'exponential';
  delaySeconds: number;
  /** 0 to 1: how much of the pause is left to chance. Default 0. */
  jitter?: number;
}

/** What a running task is given beside its params. */
export interface TaskContext {
  /** The job's id. */
  readonly id: string;
  readonly task: string;
  /** 1 for the first try. */
  readonly attempt: number;
  /** Aborts with SoftTimeLimitExceeded at the soft limit, with Revoked at a revoke: hand it to fetch, timers and streams. */
  readonly signal: AbortSignal;
  /** Throws the signal's reason once there is one: for synchronous loops; costs nanoseconds. */
  check(): void;
  /**
   * Runs synchronous code that cooperates with nothing, such as a large regular expression or another's loop, and interrupts it at the
   * soft limit: then the call throws SoftTimeLimitExceeded. The code inside gets neither `catch` nor `finally`. Does not reach native
   * calls, nor what follows an `await`. Costs about 0.1 ms a call.
   */
  guard<T>(work: () => T): T;
  /** Keeps a small JSON value for who asks how far the job is. At most ten a second are sent; the last one always is. */
  progress(value: unknown): void;
  /** Writes a line to the log, with the job's id and task. */
  readonly log: TaskLog;
  /** Files that clients upload and download. */
  readonly files: TaskFiles;
}

/** The files that /upload stores and /download serves, by name. A file in use by a running job is not removed. */
export interface TaskFiles {
  /**
   * The absolute path of a file, by the `file_name` that /upload or `create` gave: for reading.
   * On a worker of another machine the file is fetched from the master first.
   * @throws when there is no regular file of this name, when it cannot be fetched, or when the name leads out of the files folder or into FastTask's own
   */
  path(name: string): Promise<string>;
  /**
   * A new empty file for an output: write it at `path`, and return `name` for /download. It belongs to whom the job belongs to. Of a job that
   * succeeds it can be downloaded as soon as its success is seen.
   * @param extension such as `csv` or `tar.gz`: letters and digits, at most 32; with or without a leading dot, or empty
   * @throws TypeError for another extension
   */
  create(extension: string): Promise<{ name: string; path: string }>;
}

export interface TaskLog {
  debug(message: string, fields?: Record<string, unknown>): void;
  info(message: string, fields?: Record<string, unknown>): void;
  warn(message: string, fields?: Record<string, unknown>): void;
  error(message: string, fields?: Record<string, unknown>): void;
}

/** What a task file passes to defineTask. */
export interface TaskDefinition<Params, Result> extends RetryOptions {
  /** One sentence for the documentation. */
  description: string;
  /** The job's input; its JSON Schema validates requests, and the thread parses with the schema itself. */
  params: TaskSchema<Params>;
  /** The job's output; what it does not declare is left out. */
  result: TaskSchema<unknown, Result>;
  /** Seconds after which the task is asked to stop. Default and largest: SOFT_TIME_LIMIT. */
  softTimeLimit?: number;
  /** Seconds after which the thread is terminated. Default and largest: TIME_LIMIT. */
  timeLimit?: number;
  /** Jobs of this task that run at once in the whole cluster. Default: as many as there are slots. */
  concurrency?: number;
  /**
   * Waiting jobs of this task above which the API refuses further ones (429), so that a queue cannot grow without end. Requests that arrive at the
   * same moment may exceed it by their number. Default: no limit.
   */
  maxWaiting?: number;
  /** MiB of heap above which the thread is replaced after a job (the most that a job in a process of its own may have). */
  memoryLimit?: number;
  /** `process`: each job runs in a child process, for native code that a thread cannot contain. Default `thread`. */
  isolation?: 'thread' | 'process';
  run(params: Params, ctx: TaskContext): Result | Promise<Result>;
  /** Called when the soft limit ended `run`; what it returns is the job's result. */
  onSoftTimeLimit?(ctx: TaskContext, params: Params): Result | Promise<Result>;
  /** Called when a running job is revoked: it has 5 s to clean up before the thread is terminated. Without it, that is at once. */
  onRevoke?(ctx: TaskContext, params: Params): void | Promise<void>;
}

const brand = Symbol.for('fasttask.task');

/** A definition that went through defineTask. */
export interface Task<Params = unknown, Result = unknown> extends TaskDefinition<Params, Result> {
  readonly [brand]: true;
}

/**
 * Declares a task: the default export of a file in the tasks folder, whose name is the file's name. Types follow from the
 * two schemas.
 */
export function defineTask<Params, Result>(definition: TaskDefinition<Params, Result>): Task<Params, Result> {
  return Object.freeze({ ...definition, [brand]: true as const });
}

/** Whether a value is the outcome of defineTask (also of another copy of this module). */
export function isTask(value: unknown): value is Task {
  return typeof value === 'object' && value !== null && brand in value;
}
