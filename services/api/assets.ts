/** Files of the documentation pages, served from memory under a path that changes with their version. */
import { NotFoundError } from '../../shared/errors.ts';
import type { Route } from './route.ts';

/** A page, the policy under which it is shown, and its files. */
export interface Page {
  html: string;
  policy: string;
  version: string;
  files: ReadonlyMap<string, Asset>;
}

export interface Asset {
  type: string;
  /** Reads the file; called once. */
  content: () => Buffer;
}

/** `GET <prefix>/<version>/<file>`, for a year in every cache. */
export function assetRoute(prefix: string, page: () => Promise<Page>): Route {
  const read = new Map<string, Buffer>();
  return {
    method: 'GET',
    path: `${prefix}/:version/:file`,
    head: true,
    async handle(ctx) {
      const { version, files } = await page();
      const name = ctx.params['file'] ?? '';
      const asset = ctx.params['version'] === version ? files.get(name) : undefined;
      if (asset === undefined) throw new NotFoundError();
      const content = read.get(name) ?? asset.content();
      read.set(name, content);
      ctx.set('cache-control', 'public, max-age=31536000, immutable');
      ctx.set('content-type', asset.type);
      ctx.body = content;
    },
  };
}

/** A Content-Security-Policy under which a page reaches nothing but this server. */
export function pagePolicy(directives: Record<string, string>): string {
  const all = {
    'default-src': "'none'",
    'connect-src': "'self'",
    'base-uri': "'none'",
    'form-action': "'none'",
    'frame-ancestors': "'none'",
    ...directives,
  };
  return Object.entries(all)
    .map(([name, value]) => `${name} ${value}`)
    .join('; ');
}
