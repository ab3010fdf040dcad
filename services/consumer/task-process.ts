/** The file that a child process runs: one job, then it ends. */
import { Worker } from 'node:worker_threads';
import '../../shared/fasttask.ts';
import { captureOutput } from './captured-output.ts';
import type { WatcherSettings } from './process-watcher.ts';
import { type Request, Slots } from './slots.ts';
import { JobContext } from './task-context.ts';
import { TaskRun } from './task-runner.ts';
import type { FromProcess, ToProcess } from './thread-protocol.ts';

process.setSourceMapsEnabled(true);
const slots = new Slots(1);
let run: TaskRun | undefined;
let context: JobContext | undefined;

process.on('message', (message: ToProcess) => {
  if (message.type === 'run') void runJob(message);
  else if (message.type === 'fetched') context?.take(message.fetched);
  else ask(message.request);
});
// Nobody is left to take the result.
process.on('disconnect', () => process.exit(1));
process.on('uncaughtException', (thrown) => run?.fail(thrown));
process.on('unhandledRejection', (thrown) => run?.fail(thrown));

async function runJob(message: ToProcess & { type: 'run' }): Promise<void> {
  const { request } = message;
  const own = new JobContext(request, message, () => slots.requested(0), send);
  const job = new TaskRun(request, own, message);
  context = own;
  run = job;
  captureOutput(
    () => job,
    (_, level, line) => own.print({ level, message: line }),
  );
  watch(request.softSeconds);
  await sent({ type: 'begin' });
  const outcome = own.complete(await job.outcome());
  await sent({ type: 'outcome', outcome });
  process.exit(0);
}

function ask(request: Request): void {
  slots.request(0, request);
  run?.handle(request);
}

/** A thread beside the task sees what a task that never waits cannot: the soft limit, and the death of the consumer. */
function watch(softSeconds: number): void {
  const settings: WatcherSettings = { slots: slots.buffers, parent: process.ppid, softSeconds };
  const file = new URL(import.meta.url.endsWith('.ts') ? './process-watcher.ts' : './process-watcher.js', import.meta.url);
  const watcher = new Worker(file, { workerData: settings, stdout: false, stderr: false });
  watcher.unref();
}

function send(message: FromProcess): void {
  process.send?.(message);
}

function sent(message: FromProcess): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined || !process.connected) resolve();
    else process.send(message, () => resolve());
  });
}
