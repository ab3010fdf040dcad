import { isOfRunningId, parseJobId } from '../../../shared/job-id.ts';
import type { RevokeOutcome } from '../../../shared/job-scripts.ts';
import type { Backend } from '../backend.ts';
import { type Caller, knowsTask, sees, seesAll } from '../caller.ts';
import { quoted } from '../quoted.ts';
import { revokedId } from '../request-schemas.ts';
import { answerJson, type Route } from '../route.ts';

/** The audit log takes no more of what a caller calls an id, in characters. */
const LONGEST_ID = 200;

const messages: Readonly<Record<Exclude<RevokeOutcome, 'unknown'>, string>> = {
  waiting: 'task is still pending, will revoked later',
  started: 'task started, revoking now',
  retrying: 'task retrying, revoking now',
  ended: 'task ended or revoked already',
  repeated: 'task ended or revoked already',
};

/** `POST /revoke`: from its answer on a waiting job never starts, and a running one is about to end. */
export function revokeRoute(backend: Backend): Route {
  return {
    method: 'POST',
    path: '/revoke',
    body: true,
    changes: true,
    audit: 'job.revoked',
    async handle(ctx) {
      const { jobs } = backend;
      const id = revokedId(ctx.state.body);
      const running = `current app.state.RUNNING_ID=${quoted(jobs.runningId)}`;
      const answer = (status: 'SUCCESS' | 'FAILURE', message: string) => {
        ctx.state.audited = { jobId: id.slice(0, LONGEST_ID), status };
        answerJson(ctx, JSON.stringify({ status, result: '', message }));
      };
      if (!isOfRunningId(id, jobs.runningId)) return answer('FAILURE', `invalid result_id=${quoted(id)} ${running}`);
      const task = parseJobId(id, jobs.runningId)?.task;
      const outcome = task === undefined ? 'unknown' : await revoke(backend, ctx.state.caller, task, id);
      if (outcome === 'unknown') return answer('FAILURE', `unknown result_id=${quoted(id)}: it never existed, or its result has expired`);
      return answer('SUCCESS', messages[outcome]);
    },
  };
}

/** Revokes a job that this caller may see; any other is unknown. Who sees all jobs costs no look at the owner. */
async function revoke({ jobs }: Backend, caller: Caller, task: string, id: string): Promise<RevokeOutcome> {
  if (!knowsTask(caller, task)) return 'unknown';
  if (!seesAll(caller) && !sees(caller, (await jobs.check(task, id))?.owner)) return 'unknown';
  return await jobs.revoke(task, id);
}
