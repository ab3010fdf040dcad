import type { Context } from './route.ts';

/** What a request's query says of this name, in order; a name may be repeated. */
export function allAsked({ request }: Pick<Context, 'request'>, name: string): string[] {
  return new URLSearchParams(request.querystring).getAll(name);
}

/** As `allAsked`, where one value is expected: the last one counts. */
export function asked(ctx: Pick<Context, 'request'>, name: string): string | undefined {
  return allAsked(ctx, name).at(-1);
}
