/** Keeps pages of other sites from sending requests in the name of whoever sits in front of the browser (CSRF, DNS rebinding). */
import { isIP } from 'node:net';
import cors from '@koa/cors';
import type { Middleware } from 'koa';
import type { Config } from '../../shared/config.ts';
import { isLoopback } from '../../shared/config.ts';
import { ERROR_HEADER } from './answer-error.ts';
import { Refusal } from './refusal.ts';
import type { Context, RequestState } from './route.ts';

/** How long a browser may remember what it was allowed, in seconds. */
const PREFLIGHT_SECONDS = 600;

/** Lets pages of these origins use the API. They send their credentials themselves: those that the browser knows are not for them. */
export function crossOrigin(origins: readonly string[]): Middleware<RequestState> {
  return cors({
    origin: (ctx) => (origins.includes(ctx.get('origin')) ? ctx.get('origin') : ''),
    allowMethods: ['GET', 'HEAD', 'POST'],
    allowHeaders: [
      'authorization',
      'content-type',
      'prefer',
      'range',
      'last-event-id',
      'fasttask-time-limit',
      'fasttask-soft-time-limit',
      'x-request-id',
    ],
    exposeHeaders: [
      'x-request-id',
      ERROR_HEADER,
      'location',
      'retry-after',
      'preference-applied',
      'content-disposition',
      'content-range',
      'etag',
    ],
    maxAge: PREFLIGHT_SECONDS,
  });
}

const READING: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * The check that refuses a changing request that a browser sends from another origin, unless API_CORS_ORIGINS names it, and any request for a name that is not this
 * machine's own while only this machine can call. Browsers say where a request comes
 * from (Sec-Fetch-Site; older ones Origin alone); other clients send neither and are not concerned.
 */
export function crossSiteCheck({ api }: Pick<Config, 'api'>): (ctx: Context) => void {
  const allowed = new Set(api.corsOrigins);
  // A name that an attacker points to this machine makes their page "same-origin": on loopback only its own names are taken from a browser.
  const ownNamesOnly = isLoopback(api.host) && !api.trustProxy;
  return (ctx) => {
    const { headers } = ctx.req;
    if (headers['sec-fetch-site'] === undefined && headers.origin === undefined) return;
    const site = ctx.get('sec-fetch-site');
    const origin = ctx.get('origin');
    if ((site === '' && origin === '') || allowed.has(origin)) return;
    if (ownNamesOnly && !isOwnName(ctx.hostname)) throw refusal('This server is known to browsers as localhost only');
    if (READING.has(ctx.method)) return;
    const same = site === '' ? hostOf(origin) === ctx.host : site === 'same-origin' || site === 'none';
    if (!same)
      throw refusal(`Requests from ${origin === '' ? 'other sites' : origin} are not taken (API_CORS_ORIGINS names those that are)`);
  };
}

function refusal(detail: string): Refusal {
  return new Refusal('cross_site', detail);
}

function hostOf(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined;
}

function isOwnName(hostname: string): boolean {
  const bare = hostname.replace(/^\[(.*)\]$/, '$1').toLowerCase();
  return isIP(bare) !== 0 || bare === 'localhost' || bare.endsWith('.localhost');
}
