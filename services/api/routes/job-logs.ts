import { NotFoundError } from '../../../shared/errors.ts';
import { parseJobId } from '../../../shared/job-id.ts';
import type { Backend } from '../backend.ts';
import { knowsTask, sees } from '../caller.ts';
import { answerJson, type Route } from '../route.ts';

/** `GET /jobs/{id}/logs`: the last lines that a job printed or logged, oldest first, for as long as its result is kept. */
export function jobLogsRoute(backend: Backend): Route {
  return {
    method: 'GET',
    path: '/jobs/:id/logs',
    async handle(ctx) {
      const { jobs } = backend;
      const { caller } = ctx.state;
      const id = ctx.params['id'] ?? '';
      const task = parseJobId(id, jobs.runningId)?.task;
      const view = task === undefined || !knowsTask(caller, task) ? undefined : await jobs.check(task, id);
      if (task === undefined || view === undefined || !sees(caller, view.owner))
        throw new NotFoundError('There is no job with this id: it never existed, or its result has expired');
      answerJson(ctx, JSON.stringify({ id, lines: await jobs.log(task, id) }));
    },
  };
}
