import { NotFoundError, ValidationError } from '../../../shared/errors.ts';
import { isOfRunningId, parseJobId } from '../../../shared/job-id.ts';
import { hasEnded, type JobView } from '../../../shared/job-state.ts';
import { asked } from '../asked.ts';
import type { Backend } from '../backend.ts';
import { type Caller, knowsTask, sees } from '../caller.ts';
import { preferredWait } from '../prefer.ts';
import { quoted } from '../quoted.ts';
import { answerJson, type Context, jobJson, type Route } from '../route.ts';
import { Waiting } from '../waiters.ts';

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
  const id = asked(ctx, 'result_id');
  if (registry.tasks.has(subject) && knowsTask(ctx.state.caller, subject)) {
    if (id === undefined) throw new ValidationError([{ type: 'missing', loc: ['query', 'result_id'], msg: 'Field required', input: null }]);
    return { id, ofTask: subject };
  }
  if (id !== undefined) throw new NotFoundError();
  return { id: subject };
}

/** @param task the one that the job should be of, where that is said */
export function noJob(id: string, task?: string): NotFoundError {
  const of = task === undefined ? '' : ` of ${task}`;
  return new NotFoundError(`There is no job${of} with result_id=${quoted(id)}: it never existed, or its result has expired`);
}

async function lookOrWait(ctx: Context, backend: Backend, { id, task }: { id: string; task: string }): Promise<JobView | undefined> {
  const { config, ends, jobs } = backend;
  const { caller } = ctx.state;
  const preferred = preferredWait(ctx.get('prefer'));
  if (preferred === undefined) return seen(caller, await jobs.check(task, id));
  const seconds = Math.min(preferred, config.api.runMaxWaitSeconds);
  ctx.set('preference-applied', `wait=${seconds}`);
  const waiting = new Waiting(backend, ctx.req, id, seconds * 1000);
  try {
    const view = seen(caller, await ends.watch(task, id, waiting));
    if (view === undefined || hasEnded(view.state)) return view;
    return (await waiting.end) ?? (await jobs.check(task, id));
  } finally {
    waiting.stop();
  }
}

function seen(caller: Caller, view: JobView | undefined): JobView | undefined {
  return sees(caller, view?.owner) ? view : undefined;
}
