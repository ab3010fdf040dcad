/** How many requests a user, a key or, without accounts, an address may send: API_RATE_LIMIT, counted in Redis for all API processes. */
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import type { Config } from '../../shared/config.ts';
import type { Redis } from '../../shared/redis.ts';
import { ANONYMOUS } from './caller.ts';
import { networkOf } from './client-address.ts';
import { Refusal } from './refusal.ts';
import type { Context } from './route.ts';

const WINDOW_SECONDS = 60;

/** Counts a request. @throws Refusal 429 */
export type RateLimit = (ctx: Context) => Promise<void>;

/** The limit of an installation, or undefined where there is none. While Redis is away, each process counts for itself. */
export function rateLimitOf({ api, redis: { prefix } }: Config, redis: Redis): RateLimit | undefined {
  if (api.rateLimit === 0) return undefined;
  const window = { points: api.rateLimit, duration: WINDOW_SECONDS };
  const limiter = new RateLimiterRedis({
    ...window,
    storeClient: redis,
    keyPrefix: `${prefix}:{rate}`,
    // Who is over the limit costs no round trip until the window ends.
    inMemoryBlockOnConsumed: api.rateLimit + 1,
    rejectIfRedisNotReady: true,
    insuranceLimiter: new RateLimiterMemory(window),
  });
  return async (ctx) => {
    const { caller } = ctx.state;
    const key = caller === ANONYMOUS ? `address ${networkOf(ctx.ip)}` : `user ${caller.name}`;
    try {
      await limiter.consume(key);
    } catch (rejected) {
      if (!(rejected instanceof RateLimiterRes)) throw rejected;
      const seconds = Math.max(1, Math.ceil(rejected.msBeforeNext / 1000));
      throw new Refusal('rate_limited', `At most ${api.rateLimit} requests in ${WINDOW_SECONDS} s are taken`, {
        'retry-after': String(seconds),
      });
    }
  };
}
