import { isLoopback } from '../../../shared/config.ts';
import type { Backend } from '../backend.ts';
import { answerJson, type Route } from '../route.ts';

/** `GET /health`: answers while the process lives, and tells nothing. */
export function healthRoute(): Route {
  return { method: 'GET', path: '/health', open: true, head: true, handle: (ctx) => answerJson(ctx, '{"status":"ok"}') };
}

/** `GET /ready`: 503 while jobs cannot be served. Only a caller on this machine is told why. */
export function readyRoute(backend: Backend): Route {
  return {
    method: 'GET',
    path: '/ready',
    open: true,
    head: true,
    async handle(ctx) {
      const reason = await backend.notReady();
      if (reason === undefined) return answerJson(ctx, '{"status":"ready"}');
      ctx.set('retry-after', '1');
      const told = isLoopback((ctx.req.socket.remoteAddress ?? '').replace(/^::ffff:/, ''));
      answerJson(ctx, JSON.stringify({ detail: told ? `Not ready: ${reason}` : 'Not ready' }), 503);
    },
  };
}
