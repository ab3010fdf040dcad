/** What nodes ask of each other. To everybody else these paths do not exist. */
import { FileStore } from '../../shared/files.ts';
import { DELIVERY_PATH, FETCH_PATH } from '../../shared/node-files.ts';
import type { Backend } from './backend.ts';
import type { NodeAccess } from './node-access.ts';
import { methodNotAllowed } from './refusal.ts';
import type { Context } from './route.ts';
import { nodeDelivery } from './routes/node-delivery.ts';
import { nodeFetch } from './routes/node-fetch.ts';

/** The methods of one path. */
type Handlers = Readonly<Record<string, (ctx: Context) => Promise<void>>>;

/**
 * Serves requests that carry a node's credential, and returns undefined for all others. They count for no rate limit and need no accounts.
 */
export function nodeRoutes(
  { config }: Pick<Backend, 'config'>,
  access: NodeAccess,
): (path: string, ctx: Context) => Promise<void> | undefined {
  const store = new FileStore(config.dirs.files);
  const paths = new Map<string, Handlers>([
    [FETCH_PATH, nodeFetch(store)],
    [DELIVERY_PATH, nodeDelivery(store)],
  ]);
  return (path, ctx) => {
    const handlers = paths.get(path);
    return handlers !== undefined && access.claims(ctx.get('authorization')) ? serve(handlers, ctx) : undefined;
  };

  async function serve(handlers: Handlers, ctx: Context): Promise<void> {
    await access.admit(ctx.get('authorization'), ctx.ip);
    const handle = handlers[ctx.method];
    if (handle === undefined) throw methodNotAllowed(Object.keys(handlers));
    await handle(ctx);
  }
}
