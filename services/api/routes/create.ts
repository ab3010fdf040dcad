import type { Backend } from '../backend.ts';
import { batchDataOf, jobDataOf } from '../job-request.ts';
import { answerJson, jobJson, type Route } from '../route.ts';

/** `POST /create/{task}`: submits a job and answers with its id. */
export function createRoute(backend: Backend): Route {
  const { config, validators } = backend;
  return {
    method: 'POST',
    path: '/create/:task',
    body: true,
    changes: true,
    async handle(ctx) {
      const id = await backend.jobs.submit(ctx.state.task, jobDataOf(ctx, validators, config.limits), ctx.state.caller.name);
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
    async handle(ctx) {
      const ids = await backend.jobs.submitAll(ctx.state.task, batchDataOf(ctx, validators, config.limits), ctx.state.caller.name);
      answerJson(ctx, JSON.stringify({ ids, state: 'PENDING' }));
    },
  };
}
