import { messageOf } from '../../../shared/errors.ts';
import type { Logger } from '../../../shared/logger.ts';
import type { TaskDescriptor } from '../../../shared/registry.ts';
import { assetRoute } from '../assets.ts';
import type { Backend } from '../backend.ts';
import { type Caller, knowsTask } from '../caller.ts';
import { openApiDocument } from '../openapi.ts';
import { loadRedoc, type RedocPage } from '../redoc-page.ts';
import { answerJson, type Context, type Route } from '../route.ts';
import { loadSwagger } from '../swagger-page.ts';

/** How many documents are kept: one for each set of tasks that accounts are restricted to. */
const KEPT_DOCUMENTS = 16;

/** `GET /openapi.json`, with the tasks that the caller may use: built anew when the registry has changed. */
export function openApiRoute({ registry, config }: Backend): Route {
  const texts = new Map<string, string>();
  let version: number | undefined;
  return {
    method: 'GET',
    path: '/openapi.json',
    head: true,
    handle(ctx) {
      if (version !== registry.version || texts.size >= KEPT_DOCUMENTS) texts.clear();
      version = registry.version;
      const tasks = tasksOf(ctx.state.caller, registry.tasks.values());
      const key = tasks.map(({ name }) => name).join();
      const text = texts.get(key) ?? JSON.stringify(openApiDocument(tasks, config.api.serves));
      texts.set(key, text);
      ctx.set('cache-control', 'private, no-cache');
      answerJson(ctx, text);
    },
  };
}

function tasksOf(caller: Caller, tasks: Iterable<TaskDescriptor>): TaskDescriptor[] {
  return [...tasks].filter(({ name }) => knowsTask(caller, name));
}

/** `GET /docs`: Swagger UI and the files it needs. */
export function docsRoutes(): Route[] {
  const swagger = loadSwagger();
  return [{ method: 'GET', path: '/docs', head: true, handle: (ctx) => answerPage(ctx, swagger) }, assetRoute('/docs/assets', swagger)];
}

/** `GET /redoc`: ReDoc and the file it needs; left out, with a line in the log, where that file is not installed. */
export function redocRoutes(log: Logger): Route[] {
  let redoc: RedocPage;
  try {
    redoc = loadRedoc();
  } catch (error) {
    log.warn({ reason: messageOf(error) }, 'redoc.missing');
    return [];
  }
  return [{ method: 'GET', path: '/redoc', head: true, handle: (ctx) => answerPage(ctx, redoc) }, assetRoute('/redoc/assets', redoc)];
}

function answerPage(ctx: Context, { html, policy }: { html: string; policy: string }): void {
  ctx.set('content-security-policy', policy);
  ctx.set('cache-control', 'no-cache');
  ctx.set('content-type', 'text/html; charset=utf-8');
  ctx.body = html;
}
