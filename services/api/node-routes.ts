/** What nodes ask of each other. To everybody else these paths do not exist. */
import { Router, type RouterMiddleware } from '@koa/router';
import { FileStore } from '../../shared/files.ts';
import { DELIVERY_PATH, FETCH_PATH } from '../../shared/node-files.ts';
import type { Backend } from './backend.ts';
import type { NodeAccess } from './node-access.ts';
import { methodNotAllowed } from './refusal.ts';
import type { Context, RequestState } from './route.ts';
import { nodeDelivery } from './routes/node-delivery.ts';
import { nodeFetch } from './routes/node-fetch.ts';

/** The methods of one path. */
type Handlers = Readonly<Record<string, (ctx: Context) => Promise<void>>>;

/** Serves requests that carry a node's credential, and passes all others on. They count for no rate limit and need no accounts. */
export function nodeRoutes({ config }: Pick<Backend, 'config'>, access: NodeAccess): RouterMiddleware<RequestState> {
  const store = new FileStore(config.dirs.files);
  const router = new Router<RequestState>({ strict: true, sensitive: true });
  const paths: [string, Handlers][] = [
    [FETCH_PATH, nodeFetch(store)],
    [DELIVERY_PATH, nodeDelivery(store)],
  ];
  for (const [path, handlers] of paths) {
    router.all(path, async (ctx, next) => {
      if (!access.claims(ctx.get('authorization'))) return next();
      await access.admit(ctx.get('authorization'), ctx.ip);
      const handle = handlers[ctx.method];
      if (handle === undefined) throw methodNotAllowed(Object.keys(handlers));
      await handle(ctx);
    });
  }
  return router.routes();
}
