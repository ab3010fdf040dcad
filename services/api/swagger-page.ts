/** The /docs page: the only module that knows koa2-swagger-ui and swagger-ui-dist. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { IncomingMessage, ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import { Socket } from 'node:net';
import { dirname, join } from 'node:path';
import Koa from 'koa';
import { type Asset, type Page, pagePolicy } from './assets.ts';

const css = 'text/css; charset=utf-8';
const script = 'text/javascript; charset=utf-8';

/** Renders the page once. Its template asks for a minified style sheet that swagger-ui-dist ships under another name. */
export async function loadSwagger(): Promise<Page> {
  const dist = dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'));
  const { version } = JSON.parse(readFileSync(join(dist, 'package.json'), 'utf8')) as { version: string };
  const asset = (file: string, type: string): Asset => ({ type, content: () => readFileSync(join(dist, file)) });
  const files = new Map([
    ['swagger-ui.min.css', asset('swagger-ui.css', css)],
    ['swagger-ui-bundle.js', asset('swagger-ui-bundle.js', script)],
    ['swagger-ui-standalone-preset.js', asset('swagger-ui-standalone-preset.js', script)],
    ['favicon.png', asset('favicon-32x32.png', 'image/png')],
  ]);
  const html = withoutFonts(await render(version));
  const hashes = [...html.matchAll(/<script>([\s\S]*?)<\/script>/g)].map(
    ([, code = '']) => `'sha256-${createHash('sha256').update(code).digest('base64')}'`,
  );
  const policy = pagePolicy({
    'script-src': ["'self'", ...hashes].join(' '),
    'style-src': "'self' 'unsafe-inline'",
    'img-src': "'self' data:",
    'font-src': "'self' data:",
  });
  return { version, files, html, policy };
}

async function render(version: string): Promise<string> {
  const { koaSwagger } = await import('koa2-swagger-ui');
  const middleware = koaSwagger({
    title: 'FastTask',
    routePrefix: false,
    hideTopbar: true,
    swaggerCdnUrl: '/docs/assets',
    swaggerVersion: version,
    favicon: `/docs/assets/${version}/favicon.png`,
    swaggerOptions: { url: '/openapi.json', validatorUrl: null, dom_id: '#swagger-ui', layout: 'StandaloneLayout', docExpansion: 'list' },
  });
  // The middleware renders into a request's context: this one belongs to no connection.
  const request = new IncomingMessage(new Socket());
  const ctx = new Koa().createContext(request, new ServerResponse(request));
  void middleware(ctx, async () => {});
  return String(ctx.body);
}

/** The template links a font from elsewhere; the page looks right without it. */
function withoutFonts(html: string): string {
  return html.replaceAll(/<link [^>]*fonts\.googleapis\.com[^>]*>/g, '');
}
