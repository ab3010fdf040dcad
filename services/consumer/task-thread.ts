/** The file that every Piscina thread runs: one exported function, called once for each chain of jobs. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { getHeapStatistics } from 'node:v8';
import { BroadcastChannel, parentPort, threadId, workerData } from 'node:worker_threads';
// Loaded before the first job, so that no job pays for it.
import '../../shared/fasttask.ts';
import { captureOutput } from './captured-output.ts';
import { failureText } from './failure-text.ts';
import { Slots } from './slots.ts';
import { JobContext } from './task-context.ts';
import { TaskRun } from './task-runner.ts';
import {
  type Chain,
  type ChainEnd,
  type ChainLink,
  CONTROL_CHANNEL,
  type ControlMessage,
  type JobRequest,
  type ThreadMessage,
  type ThreadOutcome,
  type ThreadSettings,
} from './thread-protocol.ts';
import { ThreadTraces, watchChildren } from './thread-traces.ts';

const MEBIBYTE = 1024 ** 2;

const settings: ThreadSettings = workerData;
const slots = new Slots(settings.slots);
/** The job on whose behalf code runs, however many waits and timers lie in between. */
const current = new AsyncLocalStorage<TaskRun>();
const running = new Map<number, TaskRun>();
const traces = new ThreadTraces();
const loaded = new Set<string>();
/** Something was thrown that nobody awaited: the thread is not used again. */
let tainted = false;

process.setSourceMapsEnabled(true);
captureOutput(
  () => current.getStore(),
  ({ context }, level, message) => context.print({ level, message }),
);
watchChildren(
  () => current.getStore()?.request,
  ({ id }, pid, alive) => send({ type: 'child', id, pid, alive }),
);

const control = new BroadcastChannel(`${CONTROL_CHANNEL}-${process.pid}`);
control.onmessage = (event) => {
  const { data: message } = event as { data: ControlMessage };
  const { slot, id } = message;
  const run = running.get(slot);
  if (run?.request.id !== id) return;
  if ('fetched' in message) run.context.take(message.fetched);
  else run.handle(message.request);
};
control.unref();

// A throw in a later tick would end the thread and, with it, whatever else runs here.
const onUncaught = (thrown: unknown): void => {
  tainted = true;
  const run = current.getStore() ?? (running.size === 1 ? [...running.values()][0] : undefined);
  if (run !== undefined && !run.over) return run.fail(thrown);
  send({ type: 'late_error', id: run?.request.id, task: run?.request.task, text: failureText(thrown, settings) });
};
process.on('uncaughtException', onUncaught);
process.on('unhandledRejection', onUncaught);

const exit = process.exit.bind(process);
process.exit = (code) => {
  const run = current.getStore();
  if (run !== undefined && !run.over) slots.blame(run.request.slot, Number(code ?? process.exitCode ?? 0));
  return exit(code);
};

/**
 * Runs jobs, one after another, and resolves with the last one's outcome; never rejects. Where a job is not to be followed by
 * another in this thread, or the last ones were recalled, the chain ends before.
 */
export default async function runChain(chain: Chain): Promise<ChainEnd> {
  const ran: number[] = [];
  let last: ChainLink | undefined;
  for (const request of chain) {
    const { slot, id } = request;
    if (!slots.begin(slot, threadId)) continue;
    ran.push(slot);
    if (last !== undefined) parentPort?.postMessage(last);
    last = { slot, id, outcome: await runJob(request) };
    slots.end(slot);
    if (last.outcome.replace) break;
  }
  return { last, ran };
}

async function runJob(request: JobRequest): Promise<ThreadOutcome> {
  const context = new JobContext(request, settings, () => slots.requested(request.slot), send);
  const run = new TaskRun(request, context, settings, () => acceptImport(request.module));
  running.set(request.slot, run);
  // The request may have come before the job was known here.
  run.handle(slots.requested(request.slot));
  try {
    const outcome = context.complete(await current.run(run, () => run.outcome()));
    return tainted || cannotGoOn(request) ? { ...outcome, replace: true } : outcome;
  } finally {
    running.delete(request.slot);
  }
}

function acceptImport(module: string): void {
  if (loaded.has(module)) return;
  loaded.add(module);
  traces.accept();
}

/** Whether the job left something behind that the next one must not meet. With several jobs here, each is asked at its end. */
function isUsedUp({ memoryLimit }: JobRequest): boolean {
  if (running.size === 1 && traces.differ()) return true;
  return memoryLimit !== undefined && getHeapStatistics().used_heap_size > memoryLimit * MEBIBYTE;
}

/** A thread in which not even this can be told is used up, too: a task may have replaced what the question needs. */
function cannotGoOn(request: JobRequest): boolean {
  try {
    return isUsedUp(request);
  } catch {
    return true;
  }
}

function send(message: ThreadMessage): void {
  parentPort?.postMessage(message);
}
