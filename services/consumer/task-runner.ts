/** Runs one job of a task inside a thread and turns whatever happens into plain data. */
import { isTask, type SchemaIssue, type Task, type TaskSchema } from '../../shared/task.ts';
import { DoNotRetryError, InvalidParams, InvalidResult, InvalidTask } from '../../shared/task-errors.ts';
import { failureText } from './failure-text.ts';
import type { JobContext } from './task-context.ts';
import type { JobRequest, ThreadOutcome } from './thread-protocol.ts';

/** The pipeline of a job in its thread: load, parse the params, run, check the result, encode it. Never rejects. */
export async function runTask(request: JobRequest, context: JobContext, tasksDir: string): Promise<ThreadOutcome> {
  try {
    const task = await loadTask(request.module);
    const params = await parseParams(task, request.params);
    const value = await runWithSoftLimit(task, params, context);
    const result = await checkResult(task, value);
    return { json: encodeResult(result, request.resultMaxBytes) };
  } catch (thrown) {
    const error = context.isSoftLimit(thrown) ? context.softError : thrown;
    const retryable = !(error instanceof DoNotRetryError) && error !== context.softError;
    return { error: { text: failureText(error, tasksDir), retryable } };
  } finally {
    context.end();
  }
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

async function runWithSoftLimit(task: Task, params: unknown, context: JobContext): Promise<unknown> {
  try {
    return await task.run(params, context);
  } catch (thrown) {
    if (task.onSoftTimeLimit === undefined || !context.isSoftLimit(thrown)) throw thrown;
    return await task.onSoftTimeLimit(context, params);
  }
}

async function checkResult(task: Task, value: unknown): Promise<unknown> {
  const schema: TaskSchema = task.result;
  const outcome = await schema['~standard'].validate(value);
  if (outcome.issues !== undefined) throw new InvalidResult(issuesText(outcome.issues));
  return outcome.value;
}

function encodeResult(result: unknown, maxBytes: number): string {
  let json: string | undefined;
  try {
    json = JSON.stringify(result ?? null);
  } catch (error) {
    throw new InvalidResult(`the result cannot be written as JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (json === undefined) throw new InvalidResult(`the result cannot be written as JSON: it is a ${typeof result}`);
  const bytes = Buffer.byteLength(json);
  if (bytes > maxBytes) throw new InvalidResult(`the result has ${bytes} bytes of JSON, more than RESULT_MAX_BYTES (${maxBytes})`);
  return json;
}

function issuesText(issues: readonly SchemaIssue[]): string {
  return issues.map(({ message, path }) => (path === undefined || path.length === 0 ? message : `${pathText(path)}: ${message}`)).join('; ');
}

function pathText(path: NonNullable<SchemaIssue['path']>): string {
  return path.map((step) => String(typeof step === 'object' ? step.key : step)).join('.');
}
