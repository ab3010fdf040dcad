import { messageOf } from '../../../shared/errors.ts';
import type { Logger } from '../../../shared/logger.ts';
import { assetRoute } from '../assets.ts';
import type { Backend } from '../backend.ts';
import { openApiDocument } from '../openapi.ts';
import { loadRedoc, type RedocPage } from '../redoc-page.ts';
import { answerJson, type Context, type Route } from '../route.ts';
import { loadSwagger } from '../swagger-page.ts';

/** `GET /openapi.json`: built anew when the registry has changed. */
export function openApiRoute({ registry, config }: Backend): Route {
  let text = '';
  let version: number | undefined;
  return {
    method: 'GET',
    path: '/openapi.json',
    head: true,
    handle(ctx) {
      if (version !== registry.version) {
        text = JSON.stringify(openApiDocument(registry.tasks.values(), config.api.serves));
        version = registry.version;
      }
      ctx.set('cache-control', 'no-cache');
      answerJson(ctx, text);
    },
  };
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
  ctx.set('x-content-type-options', 'nosniff');
  ctx.set('content-type', 'text/html; charset=utf-8');
  ctx.body = html;
}
