/** What a route is to the application, and how its answers are written. */
import type { ParameterizedContext } from 'koa';
import type { TaskDescriptor } from '../../shared/registry.ts';
import type { Caller } from './caller.ts';
import type { JsonBody } from './json-body.ts';

/** What the middleware has found out about a request before its route handles it. */
export interface RequestState {
  requestId: string;
  /** Only on routes that are not open. */
  caller: Caller;
  /** Only on routes with `body`. */
  body: JsonBody;
  /** What the audit log says of the request beside who, when and where; set by the route. */
  audited: Record<string, unknown>;
  /** Only on paths with `:task`. */
  task: TaskDescriptor;
}

/** What a path's parameters are in this request, percent-decoded. */
export interface PathParams {
  params: Readonly<Record<string, string>>;
}

export type Context = ParameterizedContext<RequestState, PathParams>;

/** What a route's requests are called in the audit log, in the past tense. */
export type AuditEvent = 'job.created' | 'jobs.created' | 'job.run' | 'job.revoked' | 'file.uploaded' | 'file.downloaded';

export interface Route {
  method: 'GET' | 'POST';
  /** A path of @koa/router. A `:task` in it must be a task that the registry knows, else the path does not exist. */
  path: string;
  /** Reads a JSON body before credentials are looked at. */
  body?: true;
  /** Answers without credentials. */
  open?: true;
  /** Submits, revokes or writes: 403 for a role that only reads. */
  changes?: true;
  /** Answers HEAD as well. */
  head?: true;
  /** Every request that this route serves is written to the audit log under this name. */
  audit?: AuditEvent;
  handle(ctx: Context): Promise<void> | void;
}

/** Answers with JSON text as it is: results are never parsed again on their way out. */
export function answerJson(ctx: Context, text: string, status = 200): void {
  ctx.status = status;
  ctx.res.setHeader('content-type', 'application/json');
  // What one caller may see is for no cache that others share.
  if (!ctx.res.hasHeader('cache-control')) ctx.res.setHeader('cache-control', 'no-store');
  ctx.body = text;
}

/** The `{id, state, result}` of /run, /create and /check. */
export function jobJson(id: string, state: string, resultJson: string, progressJson?: string): string {
  const progress = progressJson === undefined ? '' : `,"progress":${progressJson}`;
  return `{"id":${JSON.stringify(id)},"state":"${state}","result":${resultJson}${progress}}`;
}
