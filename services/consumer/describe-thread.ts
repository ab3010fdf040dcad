/** A thread that imports compiled task files one by one and tells what each declares. A bad file harms nothing but its turn. */
import { parentPort, workerData } from 'node:worker_threads';
import type { Task, TaskSchema } from '../../shared/task.ts';
import { InvalidTask } from '../../shared/task-errors.ts';
import { failureText } from './failure-text.ts';
import { loadTask } from './task-runner.ts';

/** What a task declares, as plain data. */
export interface Declaration {
  description: string;
  params: Record<string, unknown>;
  result: Record<string, unknown>;
  options: Record<string, unknown>;
}

export interface DescribeRequest {
  modules: string[];
  tasksDir: string;
}

/** Sent before (`index` alone) and after each file. */
export type DescribeMessage = { index: number } | { index: number; declaration: Declaration } | { index: number; reason: string };

const OPTIONS = [
  'softTimeLimit',
  'timeLimit',
  'retries',
  'backoff',
  'retryOnLimit',
  'concurrency',
  'memoryLimit',
  'isolation',
  'maxWaiting',
] as const;

function declarationOf(task: Task): Declaration {
  if (typeof task.description !== 'string' || task.description === '')
    throw new InvalidTask('description: expected one sentence, got nothing');
  if (typeof task.run !== 'function') throw new InvalidTask(`run: expected a function, got ${typeof task.run}`);
  const options: Record<string, unknown> = Object.fromEntries(
    OPTIONS.filter((name) => task[name] !== undefined).map((name) => [name, task[name]]),
  );
  if (task.onRevoke !== undefined) options['onRevoke'] = true;
  return {
    description: task.description,
    params: jsonSchema('params', task.params, 'input'),
    result: jsonSchema('result', task.result, 'output'),
    options,
  };
}

function jsonSchema(name: string, schema: TaskSchema, side: 'input' | 'output'): Record<string, unknown> {
  const convert = schema?.['~standard']?.jsonSchema?.[side];
  if (typeof convert !== 'function')
    throw new InvalidTask(`${name}: expected a Standard Schema with JSON Schema (such as z.object({ … })), got ${typeof schema}`);
  const { $schema, ...rest } = convert({ target: 'draft-2020-12', libraryOptions: { unrepresentable: 'any' } });
  return rest;
}

async function describeAll({ modules, tasksDir }: DescribeRequest): Promise<void> {
  process.setSourceMapsEnabled(true);
  for (const [index, module] of modules.entries()) {
    send({ index });
    try {
      send({ index, declaration: declarationOf(await loadTask(module)) });
    } catch (error) {
      send({ index, reason: error instanceof InvalidTask ? error.message : failureText(error, { tasksDir }) });
    }
  }
}

function send(message: DescribeMessage): void {
  parentPort?.postMessage(message);
}

await describeAll(workerData);
process.exit(0);
