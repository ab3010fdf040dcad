/** The application: what happens to a request, in order. */
import { randomUUID } from 'node:crypto';
import Koa, { type Middleware } from 'koa';
import { NotFoundError } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import { answerError } from './answer-error.ts';
import type { Backend } from './backend.ts';
import { type Caller, knowsTask, mayChange } from './caller.ts';
import { crossOrigin, crossSiteCheck } from './cross-site.ts';
import { Dispatch } from './dispatch.ts';
import { drain } from './drain.ts';
import { readJsonBody } from './json-body.ts';
import { NodeAccess } from './node-access.ts';
import { nodeRoutes } from './node-routes.ts';
import { rateLimitOf } from './rate-limit.ts';
import { Refusal } from './refusal.ts';
import type { Context, PathParams, RequestState, Route } from './route.ts';
import { routesOf } from './routes.ts';
import { securityHeaders } from './security-headers.ts';

type Step = Middleware<RequestState, PathParams>;

export function createApp(backend: Backend, log: Logger): Koa<RequestState, PathParams> {
  const app = new Koa<RequestState, PathParams>();
  app.silent = true;
  if (backend.config.api.trustProxy) {
    // The address that the proxy itself has seen is the last one; those before it are the client's word.
    app.proxy = true;
    app.maxIpsCount = 1;
  }
  // Errors of requests are answered below; what arrives here is a connection that broke while it was written to.
  app.on('error', (error: Error) => log.debug({ reason: error.message }, 'response.failed'));
  app.use(frame(backend));
  if (backend.config.api.corsOrigins.length > 0) app.use(crossOrigin(backend.config.api.corsOrigins));
  app.use(answering(backend, log));
  return app;
}

const clientsOwnId = /^[A-Za-z0-9_-]{1,64}$/;

/** What every answer carries. */
function frame(backend: Backend): Step {
  const headers = securityHeaders();
  return async (ctx, next) => {
    const { req, res } = ctx;
    keepAddress(ctx);
    const given = req.headers['x-request-id'];
    ctx.state.requestId = typeof given === 'string' && clientsOwnId.test(given) ? given : randomUUID();
    res.setHeader('x-request-id', ctx.state.requestId);
    for (const [name, value] of headers) res.setHeader(name, value);
    await next();
    // A process that is about to end asks its clients to connect anew.
    if (backend.stopping) ctx.set('connection', 'close');
  };
}

/** Koa reads the address when it is first asked for, and remembers it: a connection that has gone by then has none, and its request goes on. */
function keepAddress({ request }: { request: { readonly ip: string } }): void {
  void request.ip;
}

/** Answers a request, whatever becomes of it. */
function answering(backend: Backend, log: Logger): Step {
  const answer = log.isLevelEnabled('debug') ? logged(steps(backend, log), log) : steps(backend, log);
  return async (ctx) => {
    try {
      await answer(ctx);
    } catch (error) {
      backend.audit.refused(ctx, error);
      answerError(ctx, error, log);
    }
    // A body may be unread: that of an upload without credentials, for one.
    if (!ctx.req.complete) await drain(ctx);
  };
}

/** The steps from a request to its answer. */
function steps(backend: Backend, log: Logger): (ctx: Context) => Promise<void> {
  const { access, config, redis, registry } = backend;
  const refuseCrossSite = crossSiteCheck(config);
  const serveNode = nodeRoutes(backend, new NodeAccess(redis, config.redis, log));
  const dispatch = new Dispatch(routesOf(backend, log), registry);
  const serve = serving(backend);
  return async (ctx) => {
    const path = pathOf(ctx);
    refuseCrossSite(ctx);
    const served = serveNode(path, ctx);
    if (served !== undefined) return await served;
    // From here on a short body has arrived with its headers: both were parsed before anything awaited goes on.
    if (!dispatch.isOpen(path)) await access.open();
    const route = dispatch.find(path, ctx);
    if (route !== undefined) await serve(route, ctx);
  };
}

/** @throws Refusal for targets such as `http://[::1` and `http://`: they pass the parser of HTTP, but have no path that could be routed, or written to the log */
function pathOf({ req, request }: Pick<Context, 'req' | 'request'>): string {
  const { url = '' } = req;
  let path: string | null = null;
  try {
    // Koa's parser takes some that are none, and then Node writes a warning into the middle of the log.
    if (url.startsWith('/') || url === '*' || URL.canParse(url)) path = request.path;
  } catch {}
  if (path === null) throw new Refusal('target_invalid', 'The target of the request is no URL');
  return path;
}

/** Longest body, in bytes, that is read of somebody who has not signed in. */
const EARLY_BYTES = 64 * 1024;

/** Clients of the older FastTask know that broken JSON is told before wrong credentials. For long bodies that would cost too much. */
function isShort(ctx: Context): boolean {
  const { 'content-length': length, 'transfer-encoding': encoding } = ctx.req.headers;
  return length === undefined ? encoding === undefined : Number(length) <= EARLY_BYTES;
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

function logged(answer: (ctx: Context) => Promise<void>, log: Logger): (ctx: Context) => Promise<void> {
  return async (ctx) => {
    const began = performance.now();
    await answer(ctx);
    const durationMs = Math.round(performance.now() - began);
    log.debug({ method: ctx.method, path: ctx.path, status: ctx.status, durationMs, requestId: ctx.state.requestId }, 'request.answered');
  };
}
