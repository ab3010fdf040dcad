import { RedisUnavailableError } from '../../../shared/errors.ts';
import { hasEnded, type JobView } from '../../../shared/job-state.ts';
import type { Backend } from '../backend.ts';
import { jobDataOf } from '../job-request.ts';
import { preferredWait } from '../prefer.ts';
import { refuseWhenFull } from '../queue-limit.ts';
import { answerJson, type Context, jobJson, type Route } from '../route.ts';
import { Waiting } from '../waiters.ts';

/** `POST /run/{task}`: submits a job and answers with its end, or with 202 where that takes too long. */
export function runRoute(backend: Backend): Route {
  const { config, ends, validators } = backend;
  return {
    method: 'POST',
    path: '/run/:task',
    body: true,
    changes: true,
    audit: 'job.run',
    async handle(ctx) {
      const { task, caller } = ctx.state;
      const data = { ...jobDataOf(ctx, validators, config.limits), replyTo: ends.channel };
      const { jobs } = backend;
      await refuseWhenFull(jobs, task, 1);
      const id = jobs.newId(task.name);
      ctx.state.audited = { jobId: id };
      const preferred = preferredWait(ctx.get('prefer'));
      const seconds = Math.min(preferred ?? config.api.runMaxWaitSeconds, config.api.runMaxWaitSeconds);
      const waiting = new Waiting(backend, ctx.req, id, seconds * 1000);
      ends.listen(task.name, id, waiting);
      try {
        await jobs.submit(task, data, caller.name, id);
        const view = (await waiting.end) ?? (await lastLook(() => jobs.check(task.name, id)));
        if (preferred !== undefined) ctx.set('preference-applied', `wait=${seconds}`);
        answerEnd(ctx, id, view);
      } finally {
        waiting.stop();
      }
    },
  };
}

/** A job that is submitted outlives a Redis that is away for a while: its client is told to ask later. */
async function lastLook(check: () => Promise<JobView | undefined>): Promise<JobView | undefined> {
  return await check().catch((error) => {
    if (error instanceof RedisUnavailableError) return undefined;
    throw error;
  });
}

function answerEnd(ctx: Context, id: string, view: JobView | undefined): void {
  if (view !== undefined && hasEnded(view.state)) return answerJson(ctx, jobJson(id, view.state, view.resultJson));
  ctx.set('location', `/check/${id}`);
  answerJson(ctx, jobJson(id, view?.state ?? 'PENDING', '""'), 202);
}
