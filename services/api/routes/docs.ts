import { messageOf } from '../../../shared/errors.ts';
import type { Logger } from '../../../shared/logger.ts';
import type { TaskDescriptor } from '../../../shared/registry.ts';
import { assetRoute, type Page } from '../assets.ts';
import type { Backend } from '../backend.ts';
import { type Caller, knowsTask } from '../caller.ts';
import { openApiDocument } from '../openapi.ts';
import { findRedoc, loadRedoc } from '../redoc-page.ts';
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
  return pageRoutes('/docs', loadSwagger);
}

/** `GET /redoc`: ReDoc and the file it needs; left out, with a line in the log, where that file is not installed. */
export function redocRoutes(log: Logger): Route[] {
  try {
    const script = findRedoc();
    return pageRoutes('/redoc', async () => loadRedoc(script));
  } catch (error) {
    log.warn({ reason: messageOf(error) }, 'redoc.missing');
    return [];
  }
}

/** A page is made when it is first asked for: its renderer is larger than all the rest, and few processes ever show one. */
function pageRoutes(path: string, load: () => Promise<Page>): Route[] {
  let page: Promise<Page> | undefined;
  const loaded = () => {
    page ??= load().catch((error: unknown) => {
      page = undefined;
      throw error;
    });
    return page;
  };
  return [
    { method: 'GET', path, head: true, handle: async (ctx) => answerPage(ctx, await loaded()) },
    assetRoute(`${path}/assets`, loaded),
  ];
}

function answerPage(ctx: Context, { html, policy }: Page): void {
  ctx.set('content-security-policy', policy);
  ctx.set('cache-control', 'no-cache');
  ctx.set('content-type', 'text/html; charset=utf-8');
  ctx.body = html;
}
