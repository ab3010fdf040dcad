import { NotFoundError, ValidationError } from '../../../shared/errors.ts';
import { isOfRunningId, parseJobId } from '../../../shared/job-id.ts';
import { hasEnded, type JobView } from '../../../shared/job-state.ts';
import type { Backend } from '../backend.ts';
import { knowsTask, sees } from '../caller.ts';
import { jobEnd } from '../job-end.ts';
import { preferredWait } from '../prefer.ts';
import { quoted } from '../quoted.ts';
import { answerJson, type Context, jobJson, type Route } from '../route.ts';

/** How long a check that waits pauses between two looks, in milliseconds: 50 at first, half as long again each time, up to 500. */
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 500;

/** `GET /check/{task}?result_id=ID` and `GET /check/{ID}`: a job's state and result. */
export function checkRoute(backend: Backend): Route {
  return {
    method: 'GET',
    path: '/check/:subject',
    async handle(ctx) {
      const { jobs } = backend;
      const { id, ofTask } = askedFor(ctx, backend);
      if (!isOfRunningId(id, jobs.runningId)) {
        const text = `result_id=${quoted(id)} not exist, current app.state.RUNNING_ID=${quoted(jobs.runningId)}`;
        return answerJson(ctx, jobJson(id, 'FAILURE', JSON.stringify(text)));
      }
      const task = parseJobId(id, jobs.runningId)?.task;
      if (task === undefined || !knowsTask(ctx.state.caller, task) || (ofTask !== undefined && ofTask !== task)) throw noJob(id, ofTask);
      const view = await lookOrWait(ctx, backend, { id, task });
      if (view === undefined) throw noJob(id, ofTask);
      answerJson(ctx, jobJson(id, view.state, view.resultJson, view.progressJson));
    },
  };
}

/** The id, and the task that it must be of where the path names one. */
function askedFor(ctx: Context, { registry }: Backend): { id: string; ofTask?: string } {
  const subject = ctx.params['subject'] ?? '';
  const given = ctx.query['result_id'];
  const id = Array.isArray(given) ? given.at(-1) : given;
  if (registry.tasks.has(subject) && knowsTask(ctx.state.caller, subject)) {
    if (id === undefined) throw new ValidationError([{ type: 'missing', loc: ['query', 'result_id'], msg: 'Field required', input: null }]);
    return { id, ofTask: subject };
  }
  if (id !== undefined) throw new NotFoundError();
  return { id: subject };
}

function noJob(id: string, task: string | undefined): NotFoundError {
  const of = task === undefined ? '' : ` of ${task}`;
  return new NotFoundError(`There is no job${of} with result_id=${quoted(id)}: it never existed, or its result has expired`);
}

async function lookOrWait(ctx: Context, backend: Backend, { id, task }: { id: string; task: string }): Promise<JobView | undefined> {
  const { config, jobs, replies, waiters } = backend;
  const read = () => jobs.check(task, id);
  const found = await read();
  const seen = sees(ctx.state.caller, found?.owner) ? found : undefined;
  const preferred = preferredWait(ctx.get('prefer'));
  if (preferred === undefined) return seen;
  ctx.set('preference-applied', `wait=${preferred}`);
  if (seen === undefined || hasEnded(seen.state)) return seen;
  const { signal, done } = waiters.add(ctx.req);
  try {
    const ms = Math.min(preferred, config.api.runMaxWaitSeconds) * 1000;
    const pauseMs = (turn: number) => Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 1.5 ** turn);
    return await jobEnd({ id, replies, ms, signal, read, pauseMs });
  } finally {
    done();
  }
}
