import { parseJobId } from '../../../shared/job-id.ts';
import type { JobView } from '../../../shared/job-state.ts';
import { allAsked } from '../asked.ts';
import type { Backend } from '../backend.ts';
import { type Caller, knowsTask, sees } from '../caller.ts';
import { ALL_TOLD, EventStream } from '../event-stream.ts';
import { EventStreams, type StillAllowed } from '../event-streams.ts';
import type { EndListener } from '../job-ends.ts';
import { Refusal } from '../refusal.ts';
import { askedJobs } from '../request-schemas.ts';
import type { Context, Route } from '../route.ts';
import { noJob } from './check.ts';

/** Jobs that are waited for in one process; with more than that nobody may begin to listen for others. */
const MOST_AWAITED = 100_000;

/**
 * `GET /events?ids=a,b,c`, and `POST /events` with `{"ids":[…]}` for more than a URL has room for: the ends of jobs as server-sent events,
 * each as soon as it is there.
 */
export function eventsRoutes(backend: Backend): Route[] {
  const streams = new EventStreams();
  const path = '/events';
  return [
    { method: 'GET', path, handle: (ctx) => answerEvents(ctx, backend, streams, askedJobs(listedIds(ctx), 'query', ctx.search.length)) },
    {
      method: 'POST',
      path,
      body: true,
      handle: (ctx) => answerEvents(ctx, backend, streams, askedJobs(ctx.state.body.value, 'body', ctx.state.body.length)),
    },
  ];
}

/** Names may be repeated, and each may list several. */
function listedIds(ctx: Context): { ids?: string[] } {
  const given = allAsked(ctx, 'ids');
  return given.length === 0 ? {} : { ids: given.flatMap((list) => list.split(',')) };
}

async function answerEvents(ctx: Context, backend: Backend, streams: EventStreams, ids: readonly string[]): Promise<void> {
  ctx.set('cache-control', 'no-store');
  if (ctx.get('last-event-id') === ALL_TOLD) {
    // The one answer after which a browser does not connect again.
    ctx.status = 204;
    return;
  }
  const { ends, waiters } = backend;
  const { caller } = ctx.state;
  if (waiters.full || ends.size + ids.length > MOST_AWAITED) {
    throw new Refusal('too_many_waiting', 'Too many clients wait for jobs here, try again', { 'retry-after': '1' });
  }
  const stream: EventStream = new EventStream(new Set(ids), {
    response: ctx.res,
    look: (id, listener) => lookAt(backend, caller, id, listener),
    forget: (id, listener) => ends.unlisten(id, listener),
    unknown: (id) => noJob(id).message,
    onEnd: () => {
      waiters.delete(stream);
      streams.delete(stream);
    },
  });
  ctx.status = 200;
  ctx.set('content-type', 'text/event-stream; charset=utf-8');
  // Proxies such as nginx would collect events until they have a pageful.
  ctx.set('x-accel-buffering', 'no');
  const kept = waiters.add(stream);
  streams.add(stream, stillAllowed(ctx, backend));
  await stream.start();
  // From here on the stream writes, and Koa does not.
  ctx.respond = false;
  if (!kept) stream.stop();
}

/** The job as this client may see it; from now on the listener is told of its end. */
async function lookAt(backend: Backend, caller: Caller, id: string, listener: EndListener): Promise<JobView | undefined> {
  const { ends, jobs } = backend;
  const task = parseJobId(id, jobs.runningId)?.task;
  if (task === undefined || !knowsTask(caller, task)) return undefined;
  const view = await ends.watch(task, id, listener);
  if (sees(caller, view?.owner)) return view;
  ends.unlisten(id, listener);
  return undefined;
}

/** Whether the account is still there, with the same rights. */
function stillAllowed(ctx: Context, { access }: Backend): StillAllowed {
  const { role, tasks } = ctx.state.caller;
  const header = ctx.get('authorization');
  const { ip } = ctx;
  return async () => {
    const now = await access.admit(header, ip);
    return now.role === role && now.tasks === tasks;
  };
}
