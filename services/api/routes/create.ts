import type { Backend } from '../backend.ts';
import { batchDataOf, jobDataOf } from '../job-request.ts';
import { refuseWhenFull } from '../queue-limit.ts';
import { answerJson, jobJson, type Route } from '../route.ts';

/** `POST /create/{task}`: submits a job and answers with its id. */
export function createRoute(backend: Backend): Route {
  const { config, validators } = backend;
  return {
    method: 'POST',
    path: '/create/:task',
    body: true,
    changes: true,
    audit: 'job.created',
    async handle(ctx) {
      const { task, caller } = ctx.state;
      const data = jobDataOf(ctx, validators, config.limits);
      await refuseWhenFull(backend.jobs, task, 1);
      const id = await backend.jobs.submit(task, data, caller.name);
      ctx.state.audited = { jobId: id };
      answerJson(ctx, jobJson(id, 'PENDING', '""'));
    },
  };
}

/** `POST /create/{task}/batch`: submits a list of jobs, all or none. */
export function createBatchRoute(backend: Backend): Route {
  const { config, validators } = backend;
  return {
    method: 'POST',
    path: '/create/:task/batch',
    body: true,
    changes: true,
    audit: 'jobs.created',
    async handle(ctx) {
      const { task, caller } = ctx.state;
      const batch = batchDataOf(ctx, validators, config.limits);
      await refuseWhenFull(backend.jobs, task, batch.length);
      const ids = await backend.jobs.submitAll(task, batch, caller.name);
      ctx.state.audited = { jobIds: ids };
      answerJson(ctx, JSON.stringify({ ids, state: 'PENDING' }));
    },
  };
}
