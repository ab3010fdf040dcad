/** From a path to its route: 404 for what nobody knows, 405 for a wrong method, 307 for a slash too many. */
import { Router } from '@koa/router';
import { NotFoundError, RedisUnavailableError } from '../../shared/errors.ts';
import type { RegistryView, TaskDescriptor } from '../../shared/registry.ts';
import { methodNotAllowed } from './refusal.ts';
import type { Context, Route } from './route.ts';

/** The routes of one path. */
interface Place {
  byMethod: Map<string, Route>;
  /** All of them answer without credentials. */
  open: boolean;
}

/**
 * Finds routes. The routers only read paths: the chain of functions that one would run costs more than the rest of the way to a route. There is one
 * for the paths with the same first part, because a router tries all of its paths.
 */
export class Dispatch {
  readonly #routers = new Map<string, Router>();
  readonly #places = new Map<string | RegExp, Place>();
  readonly #registry: RegistryView;

  constructor(routes: readonly Route[], registry: RegistryView) {
    this.#registry = registry;
    for (const route of routes) {
      const place = this.#places.get(route.path) ?? this.#open(route.path);
      place.open &&= route.open === true;
      place.byMethod.set(route.method, route);
      if (route.head) place.byMethod.set('HEAD', route);
    }
  }

  #open(path: string): Place {
    const place = { byMethod: new Map<string, Route>(), open: true };
    this.#places.set(path, place);
    const first = firstPart(path);
    const router = this.#routers.get(first) ?? new Router({ strict: true, sensitive: true });
    this.#routers.set(
      first,
      router.all(path, () => {}),
    );
    return place;
  }

  /** Whether everybody may know what a path answers. */
  isOpen(path: string): boolean {
    return this.#places.get(path)?.open === true;
  }

  /**
   * The route of a request, which gets its path's parameters and its task; undefined where it was answered: sent to the path without a slash.
   * @throws NotFoundError for an unknown path or task, Refusal 405, or RedisUnavailableError while nobody knows the tasks
   */
  find(path: string, ctx: Context): Route | undefined {
    const layer = this.#layerOf(path);
    const place = layer === undefined ? undefined : this.#places.get(layer.path);
    if (layer === undefined || place === undefined) return this.#withoutSlash(path, ctx);
    ctx.params = layer.params(path, layer.captures(path));
    const task = ctx.params['task'];
    if (task !== undefined) ctx.state.task = this.#taskOf(task);
    const route = place.byMethod.get(ctx.method);
    if (route === undefined) throw methodNotAllowed([...place.byMethod.keys()]);
    return route;
  }

  #layerOf(path: string) {
    return this.#routers.get(firstPart(path))?.match(path, 'GET').path[0];
  }

  #taskOf(name: string): TaskDescriptor {
    const task = this.#registry.tasks.get(name);
    if (task !== undefined) return task;
    throw this.#registry.loaded ? new NotFoundError() : new RedisUnavailableError('the registry is not loaded yet');
  }

  #withoutSlash(path: string, ctx: Context): undefined {
    const bare = path.slice(0, -1);
    if (!path.endsWith('/') || !this.#isKnown(bare)) throw new NotFoundError();
    ctx.status = 307;
    ctx.set('location', bare + ctx.search);
    ctx.body = null;
    ctx.status = 307;
  }

  #isKnown(path: string): boolean {
    const layer = this.#layerOf(path);
    if (layer === undefined) return false;
    const [first] = layer.captures(path);
    return layer.paramNames[0]?.name !== 'task' || (first !== undefined && this.#registry.tasks.has(first));
  }
}

/** `/create` of `/create/resize`. No route has a parameter there. */
function firstPart(path: string): string {
  const end = path.indexOf('/', 1);
  return end < 0 ? path : path.slice(0, end);
}
