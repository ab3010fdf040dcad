/** The file that every Piscina thread runs: one exported function, called once for each job. */
import { BroadcastChannel, parentPort, threadId, workerData } from 'node:worker_threads';
// Loaded before the first job, so that no job pays for it.
import '../../shared/fasttask.ts';
import { failureText } from './failure-text.ts';
import { REQUEST_NONE, Slots } from './slots.ts';
import { JobContext } from './task-context.ts';
import { runTask } from './task-runner.ts';
import { CONTROL_CHANNEL, type ControlMessage, type JobRequest, type ThreadMessage, type ThreadOutcome, type ThreadSettings } from './thread-protocol.ts';

const settings: ThreadSettings = workerData;
const slots = new Slots(settings.slots);
const running = new Map<number, RunningJob>();
let lastJob: JobRequest | undefined;

interface RunningJob {
  request: JobRequest;
  context: JobContext;
  fail: (thrown: unknown) => void;
}

process.setSourceMapsEnabled(true);

const control = new BroadcastChannel(`${CONTROL_CHANNEL}-${process.pid}`);
control.onmessage = (event) => {
  const { slot, id }: ControlMessage = (event as { data: ControlMessage }).data;
  const job = running.get(slot);
  if (job?.request.id === id) job.context.softStop();
};
control.unref();

// A throw in a later tick would kill the thread and, with it, whatever runs here. It fails the job that is running, or is
// told as the late error of the job that ran last; either way the thread is not used again.
let tainted = false;
const onUncaught = (thrown: unknown): void => {
  tainted = true;
  const [job] = running.values();
  if (job !== undefined) return job.fail(thrown);
  if (lastJob !== undefined) send({ type: 'late_error', id: lastJob.id, task: lastJob.task, text: failureText(thrown, settings.tasksDir) });
};
process.on('uncaughtException', onUncaught);
process.on('unhandledRejection', onUncaught);

/** Runs a job and resolves with its outcome; never rejects. */
export default async function runJob(request: JobRequest): Promise<ThreadOutcome> {
  slots.begin(request.slot, threadId);
  const context = new JobContext(request, slots, send);
  const failed = new Promise<ThreadOutcome>((resolve) => {
    running.set(request.slot, {
      request,
      context,
      fail: (thrown) => resolve({ error: { text: failureText(thrown, settings.tasksDir), retryable: true } }),
    });
  });
  lastJob = request;
  // The request may have come while the thread was busy with something else than this job.
  if (slots.requested(request.slot) !== REQUEST_NONE) context.softStop();
  try {
    const outcome = await Promise.race([runTask(request, context, settings.tasksDir), failed]);
    return tainted ? { ...outcome, replace: true } : outcome;
  } finally {
    running.delete(request.slot);
  }
}

function send(message: ThreadMessage): void {
  parentPort?.postMessage(message);
}
