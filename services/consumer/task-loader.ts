/** Loads the tasks of a folder: find, choose, compile, describe, check. */

import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Config } from '../../shared/config.ts';
import { messageOf } from '../../shared/errors.ts';
import { checkSchema, compileSchema } from '../../shared/json-schema.ts';
import type { Declaration, DescribeMessage, DescribeRequest } from './describe-thread.ts';
import { type CompiledTask, compileTasks, findTaskFiles, type LoadedTask, type TaskProblem } from './task-files.ts';
import { checkTaskOptions } from './task-options.ts';

/** How long a file may take to be imported, in milliseconds. */
const IMPORT_TIMEOUT_MS = 10_000;

export interface LoadedTasks {
  tasks: LoadedTask[];
  problems: TaskProblem[];
  warnings: string[];
}

/** Loads what ENABLED_TASKS and DISABLED_TASKS let through. Files that are no tasks are reported and stop nothing. */
export async function loadTasks(config: Config): Promise<LoadedTasks> {
  const { tasks: tasksDir, runtime } = config.dirs;
  const found = await findTaskFiles(tasksDir);
  const { chosen, warnings } = chooseTasks(found.files, config.consumer);
  const compiled = await compileTasks(tasksDir, chosen, join(runtime, 'tasks'));
  const problems = [...found.problems, ...compiled.problems];
  const tasks: LoadedTask[] = [];
  const outcomes = await describeTasks(compiled.tasks, tasksDir);
  for (const [index, task] of compiled.tasks.entries()) {
    const outcome = outcomes[index] ?? 'not described';
    if (typeof outcome === 'string') {
      problems.push({ file: task.file, reason: outcome });
      continue;
    }
    const options = schemaFault(outcome) ?? checkTaskOptions(outcome.options, config.limits);
    if (typeof options === 'string') problems.push({ file: task.file, reason: options });
    else tasks.push({ ...taskOf(task, outcome), ...options });
  }
  return { tasks, problems, warnings };
}

/** The API compiles the same schemas: what it could not serve is told here, where the file is. */
function schemaFault({ params, result }: Declaration): string | undefined {
  for (const [name, schema] of Object.entries({ params, result })) {
    try {
      checkSchema(schema);
      compileSchema(schema, false);
    } catch (error) {
      return `${name}: its JSON Schema cannot be compiled: ${messageOf(error)}`;
    }
  }
  return undefined;
}

function taskOf({ name, digest, module }: CompiledTask, { description, params, result }: Declaration): LoadedTask {
  return { name, digest, module, description, params, result };
}

/** ENABLED_TASKS wins over DISABLED_TASKS; names that are no task are warned of. */
function chooseTasks(files: ReadonlyMap<string, string>, lists: Pick<Config['consumer'], 'enabledTasks' | 'disabledTasks'>) {
  const { enabledTasks, disabledTasks } = lists;
  const named: [string, readonly string[]][] = [
    ['ENABLED_TASKS', enabledTasks ?? []],
    ['DISABLED_TASKS', disabledTasks ?? []],
  ];
  const warnings = named.flatMap(([variable, names]) => {
    const unknown = names.filter((name) => !files.has(name));
    return unknown.length === 0 ? [] : [`${variable} names no known task: ${unknown.join(', ')}; known: ${[...files.keys()].join(', ')}`];
  });
  const wanted = (name: string) => (enabledTasks === undefined ? !disabledTasks?.includes(name) : enabledTasks.includes(name));
  return { chosen: new Map([...files].filter(([name]) => wanted(name))), warnings };
}

type Described = Declaration | string;

/** Has a thread import the modules. One that hangs or ends the thread is given up; a new thread goes on behind it. */
async function describeTasks(tasks: readonly CompiledTask[], tasksDir: string): Promise<Described[]> {
  const outcomes: Described[] = [];
  while (outcomes.length < tasks.length) {
    const rest = tasks.slice(outcomes.length).map(({ module }) => module);
    outcomes.push(...(await describeUntilStuck({ modules: rest, tasksDir })));
  }
  return outcomes;
}

function describeUntilStuck(request: DescribeRequest): Promise<Described[]> {
  return new Promise((resolve) => {
    const outcomes: Described[] = [];
    const file = new URL(import.meta.url.endsWith('.ts') ? './describe-thread.ts' : './describe-thread.js', import.meta.url);
    const thread = new Worker(file, { workerData: request });
    const giveUp = (reason: string) => {
      if (outcomes.length < request.modules.length) outcomes.push(reason);
      finish();
    };
    const finish = () => {
      clearTimeout(timer);
      thread.removeAllListeners();
      thread.on('error', () => {});
      // Not waited for: a thread inside a native call does not end before the call does.
      thread.unref();
      void thread.terminate();
      resolve(outcomes);
    };
    const onTimeout = () => giveUp(`its import took more than ${IMPORT_TIMEOUT_MS / 1000} s`);
    let timer = setTimeout(onTimeout, IMPORT_TIMEOUT_MS);
    thread.on('message', (message: DescribeMessage | null) => {
      // A file can post what it likes while it is imported.
      if (typeof message !== 'object' || message === null || message.index !== outcomes.length) return;
      clearTimeout(timer);
      timer = setTimeout(onTimeout, IMPORT_TIMEOUT_MS);
      if ('declaration' in message) outcomes.push(message.declaration);
      else if ('reason' in message) outcomes.push(message.reason);
      if (outcomes.length === request.modules.length) finish();
    });
    thread.on('error', (error: Error) => giveUp(`its import failed: ${error.message}`));
    thread.on('exit', (code) => giveUp(`its import ended the thread (exit code ${code})`));
  });
}
