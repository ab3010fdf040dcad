import { RedisUnavailableError } from '../../../shared/errors.ts';
import { hasEnded, type JobView } from '../../../shared/job-state.ts';
import type { Backend } from '../backend.ts';
import { jobEnd } from '../job-end.ts';
import { jobDataOf } from '../job-request.ts';
import { preferredWait } from '../prefer.ts';
import { refuseWhenFull } from '../queue-limit.ts';
import { answerJson, type Context, jobJson, type Route } from '../route.ts';

/** How often a waiting /run reads its job in case its end was not told, in milliseconds. */
const SAFETY_MS = 5000;

/** `POST /run/{task}`: submits a job and answers with its end, or with 202 where that takes too long. */
export function runRoute(backend: Backend): Route {
  const { config, replies, validators, waiters } = backend;
  return {
    method: 'POST',
    path: '/run/:task',
    body: true,
    changes: true,
    audit: 'job.run',
    async handle(ctx) {
      const { task, caller } = ctx.state;
      const data = { ...jobDataOf(ctx, validators, config.limits), replyTo: replies.channel };
      const { jobs } = backend;
      await refuseWhenFull(jobs, task, 1);
      const id = jobs.newId(task.name);
      ctx.state.audited = { jobId: id };
      const preferred = preferredWait(ctx.get('prefer'));
      const seconds = Math.min(preferred ?? config.api.runMaxWaitSeconds, config.api.runMaxWaitSeconds);
      const { signal, done } = waiters.add(ctx.req);
      // A job that is submitted outlives a Redis that is away for a while, and so does the wait for it.
      let last: JobView | undefined = { state: 'PENDING', resultJson: '""' };
      const read = async () => {
        last = await jobs.check(task.name, id).catch((error) => {
          if (error instanceof RedisUnavailableError) return last;
          throw error;
        });
        return last;
      };
      try {
        const waiting = { id, replies, ms: seconds * 1000, signal, read, pauseMs: () => SAFETY_MS };
        const view = await jobEnd(waiting, () => jobs.submit(task, data, caller.name, id));
        if (preferred !== undefined) ctx.set('preference-applied', `wait=${preferred}`);
        answerEnd(ctx, id, view);
      } finally {
        done();
      }
    },
  };
}

function answerEnd(ctx: Context, id: string, view: JobView | undefined): void {
  if (view !== undefined && hasEnded(view.state)) return answerJson(ctx, jobJson(id, view.state, view.resultJson));
  ctx.set('location', `/check/${id}`);
  answerJson(ctx, jobJson(id, view?.state ?? 'PENDING', '""'), 202);
}
