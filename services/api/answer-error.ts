import type { ParameterizedContext } from 'koa';
import { FastTaskError, messageOf, RedisUnavailableError, ValidationError } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import { Refusal } from './refusal.ts';
import type { RequestState } from './route.ts';

/** Tells the code of an error (see error-codes.ts): bodies keep the form that clients of the older FastTask know. */
export const ERROR_HEADER = 'fasttask-error';

type Answering = ParameterizedContext<RequestState>;

/** Answers with what a client may know of an error; everything else becomes a 500 with the request's id and a line in the log. */
export function answerError(ctx: Answering, error: unknown, log: Logger): void {
  const { requestId } = ctx.state;
  ctx.set(ERROR_HEADER, error instanceof FastTaskError && error.status !== 500 ? error.code : 'internal');
  if (error instanceof Refusal) {
    ctx.set({ ...error.headers });
    return write(ctx, error.status, { detail: error.message });
  }
  if (error instanceof RedisUnavailableError) {
    log.debug({ requestId, ...error.facts }, 'request.redis_unavailable');
    ctx.set('retry-after', '1');
    return write(ctx, error.status, { detail: error.message });
  }
  if (error instanceof ValidationError) return write(ctx, error.status, { detail: error.issues });
  if (error instanceof FastTaskError && error.status < 500) return write(ctx, error.status, { detail: error.message });
  if (error instanceof FastTaskError) log.error({ requestId, ...error.facts }, error.code.replaceAll('_', '.'));
  else
    log.error(
      { requestId, method: ctx.method, path: ctx.path, reason: messageOf(error), stack: error instanceof Error ? error.stack : undefined },
      'request.failed',
    );
  write(ctx, 500, { detail: 'Internal Server Error', request_id: requestId });
}

function write(ctx: Answering, status: number, body: Record<string, unknown>): void {
  ctx.status = status;
  ctx.set('content-type', 'application/json');
  ctx.body = JSON.stringify(body);
}
