import { isLoopback } from '../../../shared/config.ts';
import { ERROR_HEADER } from '../answer-error.ts';
import type { Backend } from '../backend.ts';
import { ANONYMOUS } from '../caller.ts';
import { plainAddress } from '../connection-limit.ts';
import { answerJson, type Context, type Route } from '../route.ts';

/** `GET /health`: answers while the process lives, and tells nothing. */
export function healthRoute(): Route {
  return { method: 'GET', path: '/health', open: true, head: true, handle: (ctx) => answerJson(ctx, '{"status":"ok"}') };
}

/** `GET /ready`: 503 while jobs cannot be served. Only a caller on this machine, or one who has signed in, is told why. */
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
      ctx.set(ERROR_HEADER, 'not_ready');
      const told = isLoopback(plainAddress(ctx.ip)) || (await isSignedIn(backend, ctx));
      answerJson(ctx, JSON.stringify({ detail: told ? `Not ready: ${reason}` : 'Not ready' }), 503);
    },
  };
}

async function isSignedIn({ access }: Backend, ctx: Context): Promise<boolean> {
  const header = ctx.get('authorization');
  if (header === '') return false;
  try {
    return (await access.admit(header, ctx.ip)) !== ANONYMOUS;
  } catch {
    return false;
  }
}
