/** Runs one job of a task where it is called, in a thread or a child process, and turns whatever happens into plain data. */
import { isTask, type SchemaIssue, type Task } from '../../shared/task.ts';
import { DoNotRetryError, InvalidParams, InvalidResult, InvalidTask, Revoked, SoftTimeLimitExceeded } from '../../shared/task-errors.ts';
import { failureText, type HiddenFolders } from './failure-text.ts';
import { Request } from './slots.ts';
import type { JobContext } from './task-context.ts';
import type { FailureKind, JobRequest, PlainError, ThreadOutcome } from './thread-protocol.ts';

/** As it was before any task could replace it. */
const { stringify } = JSON;

/** A job that runs here. */
export class TaskRun {
  readonly request: JobRequest;
  readonly context: JobContext;
  /** Whether the job's outcome is decided: what its code still throws is late. */
  over = false;
  readonly #folders: HiddenFolders;
  readonly #onLoaded: () => void;
  #task: Task | undefined;
  #params: unknown;
  #settle: (outcome: ThreadOutcome) => void = () => {};

  /** @param onLoaded called once the task's file is imported and its own code is about to run */
  constructor(request: JobRequest, context: JobContext, folders: HiddenFolders, onLoaded: () => void = () => {}) {
    this.request = request;
    this.context = context;
    this.#folders = folders;
    this.#onLoaded = onLoaded;
  }

  /** Runs the job. Never rejects. */
  async outcome(): Promise<ThreadOutcome> {
    const outcome = await new Promise<ThreadOutcome>((resolve) => {
      this.#settle = resolve;
      void this.#pipeline().then(resolve);
    });
    this.over = true;
    try {
      this.context.end();
    } catch {
      // The task has replaced what this needs; its outcome stands.
      return { ...outcome, replace: true };
    }
    return outcome;
  }

  /** The job's steps: load, parse the params, run, check the result, encode it. */
  async #pipeline(): Promise<ThreadOutcome> {
    try {
      this.#task = await loadTask(this.request.module);
      this.#params = await parseParams(this.#task, this.request.params);
      this.#onLoaded();
      const value = await this.#runWithSoftLimit(this.#task);
      const result = await checkResult(this.#task, value);
      return { json: encodeResult(result, this.request.resultMaxBytes) };
    } catch (thrown) {
      return { error: this.#plain(thrown) };
    }
  }

  async #runWithSoftLimit(task: Task): Promise<unknown> {
    try {
      return await task.run(this.#params, this.context);
    } catch (thrown) {
      const softLimit = this.context.stopReason(thrown) instanceof SoftTimeLimitExceeded;
      if (task.onSoftTimeLimit === undefined || !softLimit) throw thrown;
      return await task.onSoftTimeLimit(this.context, this.#params);
    }
  }

  /** Does what the consumer asks of the job. */
  handle(request: number): void {
    if (request === Request.none || this.over) return;
    this.context.stop(request);
    if (request === Request.revoke) void this.#cleanUp();
  }

  /** A revoked job may clean up; its thread is not used again, because its code may still run. */
  async #cleanUp(): Promise<void> {
    if (this.#task?.onRevoke === undefined) return;
    try {
      await this.#task.onRevoke(this.context, this.#params);
    } catch (thrown) {
      this.context.log.warn('onRevoke failed', { reason: failureText(thrown, this.#folders) });
    }
    this.#settle({ error: this.#plain(new Revoked()), replace: true });
  }

  /** Something that nobody awaits threw while the job ran: it fails, and the thread is not used again. */
  fail(thrown: unknown): void {
    this.#settle({ error: this.#plain(thrown), replace: true });
  }

  /** Never throws, whatever a task has thrown: a Proxy, an error whose getters throw. */
  #plain(thrown: unknown): PlainError {
    let error = thrown;
    let kind: FailureKind = 'error';
    try {
      error = this.context.stopReason(thrown) ?? thrown;
      kind = kindOf(error);
    } catch {
      // Then it is none of ours.
    }
    return { text: failureText(error, this.#folders), kind };
  }
}

function kindOf(thrown: unknown): FailureKind {
  if (thrown instanceof SoftTimeLimitExceeded) return 'soft_limit';
  return thrown instanceof DoNotRetryError ? 'final' : 'error';
}

/** The task that a compiled file exports. Node keeps the module, so only a thread's first job of a task loads it. */
export async function loadTask(module: string): Promise<Task> {
  const { default: task }: { default?: unknown } = await import(module);
  if (!isTask(task)) throw new InvalidTask(`expected a default export made by defineTask({ … }), got ${typeof task}`);
  return task;
}

async function parseParams(task: Task, params: unknown): Promise<unknown> {
  const outcome = await task.params['~standard'].validate(params);
  if (outcome.issues !== undefined) throw new InvalidParams(issuesText(outcome.issues));
  return outcome.value;
}

async function checkResult(task: Task, value: unknown): Promise<unknown> {
  const outcome = await task.result['~standard'].validate(value);
  if (outcome.issues !== undefined) throw new InvalidResult(issuesText(outcome.issues));
  return outcome.value;
}

function encodeResult(result: unknown, maxBytes: number): string {
  let json: string | undefined;
  try {
    json = stringify(result ?? null);
  } catch (error) {
    throw new InvalidResult(`the result cannot be written as JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (json === undefined) throw new InvalidResult(`the result cannot be written as JSON: it is a ${typeof result}`);
  const bytes = Buffer.byteLength(json);
  if (bytes > maxBytes) throw new InvalidResult(`the result has ${bytes} bytes of JSON, more than RESULT_MAX_BYTES (${maxBytes})`);
  return json;
}

function issuesText(issues: readonly SchemaIssue[]): string {
  return issues
    .map(({ message, path }) => (path === undefined || path.length === 0 ? message : `${pathText(path)}: ${message}`))
    .join('; ');
}

function pathText(path: NonNullable<SchemaIssue['path']>): string {
  return path.map((step) => String(typeof step === 'object' ? step.key : step)).join('.');
}
