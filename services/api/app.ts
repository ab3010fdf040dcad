/** The application: what happens to a request, in order. */
import { randomUUID } from 'node:crypto';
import { Router } from '@koa/router';
import Koa, { type Middleware } from 'koa';
import type { Logger } from '../../shared/logger.ts';
import { answerError } from './answer-error.ts';
import type { Backend } from './backend.ts';
import { dispatch, fallback, groupByPath } from './dispatch.ts';
import { drain } from './drain.ts';
import { readJsonBody } from './json-body.ts';
import type { Context, RequestState, Route } from './route.ts';
import { routesOf } from './routes.ts';

export function createApp(backend: Backend, log: Logger): Koa<RequestState> {
  const app = new Koa<RequestState>();
  app.silent = true;
  // Errors of requests are answered below; what arrives here is a connection that broke while it was written to.
  app.on('error', (error: Error) => log.debug({ reason: error.message }, 'response.failed'));

  const open = new Set<string>();
  const router = new Router<RequestState>({ strict: true, sensitive: true });
  for (const [path, routes] of groupByPath(routesOf(backend, log))) {
    if (routes.every((route) => route.open)) open.add(path);
    router.all(
      path,
      dispatch(routes, backend.registry, (route, ctx) => serve(route, ctx, backend)),
    );
  }

  app.use(identify);
  app.use(closing(backend));
  app.use(answerErrors(log));
  if (log.isLevelEnabled('debug')) app.use(logAccess(log));
  app.use(async (ctx, next) => {
    if (!open.has(ctx.path)) await backend.access.open();
    return next();
  });
  app.use(router.routes());
  app.use(fallback(router, backend.registry));
  return app;
}

/** The steps of a request whose route is known. The body comes before credentials, as clients of the older FastTask know it. */
async function serve(route: Route, ctx: Context, backend: Backend): Promise<void> {
  if (route.body) ctx.state.body = await readJsonBody(ctx.req, backend.config.api);
  if (!route.open) ctx.state.caller = await backend.access.admit(ctx.get('authorization'));
  await route.handle(ctx);
}

const clientsOwnId = /^[A-Za-z0-9_-]{1,64}$/;

const identify: Middleware<RequestState> = (ctx, next) => {
  const given = ctx.get('x-request-id');
  ctx.state.requestId = clientsOwnId.test(given) ? given : randomUUID();
  ctx.set('x-request-id', ctx.state.requestId);
  return next();
};

/** A process that is about to end asks its clients to connect anew. */
function closing(backend: Backend): Middleware<RequestState> {
  return async (ctx, next) => {
    await next();
    if (backend.stopping) ctx.set('connection', 'close');
  };
}

function answerErrors(log: Logger): Middleware<RequestState> {
  return async (ctx, next) => {
    try {
      await next();
    } catch (error) {
      answerError(ctx, error, log);
    }
    // A body may be unread: that of an upload without credentials, for one.
    await drain(ctx);
  };
}

function logAccess(log: Logger): Middleware<RequestState> {
  return async (ctx, next) => {
    const began = performance.now();
    await next();
    const durationMs = Math.round(performance.now() - began);
    log.debug({ method: ctx.method, path: ctx.path, status: ctx.status, durationMs, requestId: ctx.state.requestId }, 'request.answered');
  };
}
