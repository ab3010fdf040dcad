/** From a path to its route: 404 for what nobody knows, 405 for a wrong method, 307 for a slash too many. */
import type { Router } from '@koa/router';
import type { Middleware } from 'koa';
import { NotFoundError, RedisUnavailableError } from '../../shared/errors.ts';
import type { RegistryView, TaskDescriptor } from '../../shared/registry.ts';
import { methodNotAllowed } from './refusal.ts';
import type { Context, RequestState, Route } from './route.ts';

export function groupByPath(routes: readonly Route[]): Map<string, Route[]> {
  const paths = new Map<string, Route[]>();
  for (const route of routes) paths.set(route.path, [...(paths.get(route.path) ?? []), route]);
  return paths;
}

/** Handles every method of one path: an unknown task comes first, then a wrong method. */
export function dispatch(
  routes: readonly Route[],
  registry: RegistryView,
  serve: (route: Route, ctx: Context) => Promise<void>,
): (ctx: Context) => Promise<void> {
  const byMethod = new Map(routes.map((route) => [route.method as string, route]));
  for (const route of routes) if (route.head) byMethod.set('HEAD', route);
  return async (ctx) => {
    const task = ctx.params['task'];
    if (task !== undefined) ctx.state.task = knownTask(registry, task);
    const route = byMethod.get(ctx.method);
    if (route === undefined) throw methodNotAllowed([...byMethod.keys()]);
    await serve(route, ctx);
  };
}

/** @throws NotFoundError, or RedisUnavailableError while the registry is not loaded and nobody knows */
function knownTask(registry: RegistryView, name: string): TaskDescriptor {
  const task = registry.tasks.get(name);
  if (task !== undefined) return task;
  throw registry.loaded ? new NotFoundError() : new RedisUnavailableError('the registry is not loaded yet');
}

/** What no path matched. */
export function fallback(router: Router<RequestState>, registry: RegistryView): Middleware<RequestState> {
  return (ctx) => {
    const bare = ctx.path.slice(0, -1);
    if (ctx.path.endsWith('/') && isKnown(bare)) {
      ctx.status = 307;
      ctx.set('location', bare + ctx.search);
      ctx.body = null;
      ctx.status = 307;
      return;
    }
    throw new NotFoundError();
  };

  function isKnown(path: string): boolean {
    const [layer] = router.match(path, 'GET').path;
    if (layer === undefined) return false;
    const [first] = layer.captures(path);
    return layer.paramNames[0]?.name !== 'task' || (first !== undefined && registry.tasks.has(first));
  }
}
