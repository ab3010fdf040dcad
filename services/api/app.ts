/** The application: what happens to a request, in order. */
import { randomUUID } from 'node:crypto';
import { Router } from '@koa/router';
import Koa, { type Middleware } from 'koa';
import { NotFoundError } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import { answerError } from './answer-error.ts';
import type { Backend } from './backend.ts';
import { type Caller, knowsTask, mayChange } from './caller.ts';
import { crossOrigin, refuseCrossSite } from './cross-site.ts';
import { dispatch, fallback, groupByPath } from './dispatch.ts';
import { drain } from './drain.ts';
import { readJsonBody } from './json-body.ts';
import { NodeAccess } from './node-access.ts';
import { nodeRoutes } from './node-routes.ts';
import { rateLimitOf } from './rate-limit.ts';
import { Refusal } from './refusal.ts';
import type { Context, RequestState, Route } from './route.ts';
import { routesOf } from './routes.ts';
import { securityHeaders } from './security-headers.ts';

export function createApp(backend: Backend, log: Logger): Koa<RequestState> {
  const app = new Koa<RequestState>();
  app.silent = true;
  if (backend.config.api.trustProxy) {
    // The address that the proxy itself has seen is the last one; those before it are the client's word.
    app.proxy = true;
    app.maxIpsCount = 1;
  }
  // Errors of requests are answered below; what arrives here is a connection that broke while it was written to.
  app.on('error', (error: Error) => log.debug({ reason: error.message }, 'response.failed'));

  const serve = serving(backend);
  const open = new Set<string>();
  const router = new Router<RequestState>({ strict: true, sensitive: true });
  for (const [path, routes] of groupByPath(routesOf(backend, log))) {
    if (routes.every((route) => route.open)) open.add(path);
    router.all(path, dispatch(routes, backend.registry, serve));
  }

  app.use(identify);
  app.use(securityHeaders());
  app.use(closing(backend));
  if (backend.config.api.corsOrigins.length > 0) app.use(crossOrigin(backend.config.api.corsOrigins));
  app.use(answerErrors(backend, log));
  app.use(refuseBadTarget);
  if (log.isLevelEnabled('debug')) app.use(logAccess(log));
  app.use(refuseCrossSite(backend.config));
  app.use(nodeRoutes(backend, new NodeAccess(backend.redis, backend.config.redis, log)));
  app.use(async (ctx, next) => {
    if (!open.has(ctx.path)) await backend.access.open();
    return next();
  });
  app.use(router.routes());
  app.use(fallback(router, backend.registry));
  return app;
}

/** Longest body, in bytes, that is read of somebody who has not signed in. */
const EARLY_BYTES = 64 * 1024;

/** Clients of the older FastTask know that broken JSON is told before wrong credentials. For long bodies that would cost too much. */
function isShort(ctx: Context): boolean {
  const length = ctx.get('content-length');
  return length === '' ? ctx.get('transfer-encoding') === '' : Number(length) <= EARLY_BYTES;
}

/** The steps of a request whose route is known. */
function serving(backend: Backend): (route: Route, ctx: Context) => Promise<void> {
  const { access, audit, config, redis } = backend;
  const rateLimit = rateLimitOf(config, redis);
  return async (route, ctx) => {
    const early = route.body === true && isShort(ctx);
    if (early) ctx.state.body = await readJsonBody(ctx.req, config.api);
    if (!route.open) {
      ctx.state.caller = await access.admit(ctx.get('authorization'), ctx.ip);
      await rateLimit?.(ctx);
      checkPermission(ctx.state.caller, route, ctx);
    }
    if (route.body && !early) ctx.state.body = await readJsonBody(ctx.req, config.api);
    await route.handle(ctx);
    if (route.audit !== undefined) audit.done(route.audit, ctx);
  };
}

/** @throws NotFoundError for a task that the caller may not use, Refusal 403 where the role changes nothing */
function checkPermission(caller: Caller, route: Route, ctx: Context): void {
  if (ctx.params['task'] !== undefined && !knowsTask(caller, ctx.state.task.name)) throw new NotFoundError();
  if (route.changes && !mayChange(caller)) throw new Refusal('forbidden', `The role ${caller.role} may read, but change nothing`);
}

const clientsOwnId = /^[A-Za-z0-9_-]{1,64}$/;

const identify: Middleware<RequestState> = (ctx, next) => {
  const given = ctx.get('x-request-id');
  ctx.state.requestId = clientsOwnId.test(given) ? given : randomUUID();
  ctx.set('x-request-id', ctx.state.requestId);
  return next();
};

/** Targets such as `http://[::1` and `http://` pass the parser of HTTP, but have no path that could be routed, or written to the log. */
const refuseBadTarget: Middleware<RequestState> = (ctx, next) => {
  if (!hasPath(ctx)) throw new Refusal('target_invalid', 'The target of the request is no URL');
  return next();
};

function hasPath(ctx: { path: string | null }): boolean {
  try {
    return ctx.path !== null;
  } catch {
    return false;
  }
}

/** A process that is about to end asks its clients to connect anew. */
function closing(backend: Backend): Middleware<RequestState> {
  return async (ctx, next) => {
    await next();
    if (backend.stopping) ctx.set('connection', 'close');
  };
}

function answerErrors({ audit }: Backend, log: Logger): Middleware<RequestState> {
  return async (ctx, next) => {
    try {
      await next();
    } catch (error) {
      audit.refused(ctx, error);
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
