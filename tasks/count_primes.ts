// A CPU-bound task: one synchronous loop that reports progress, can be stopped at a checkpoint, and keeps what it has.
import { defineTask, SoftTimeLimitExceeded, z } from 'fasttask';

export default defineTask({
  description: 'Counts the primes below a number, or as far as the soft limit allows.',
  params: z.object({ below: z.int().min(2).max(1_000_000_000) }),
  result: z.object({ primes: z.int(), checkedBelow: z.int() }),
  run({ below }, ctx) {
    let primes = 0;
    for (let number = 2; number < below; number += 1) {
      if (number % 1000 === 0) {
        ctx.progress({ checkedBelow: number });
        try {
          ctx.check(); // throws once the soft limit has passed
        } catch (error) {
          if (!(error instanceof SoftTimeLimitExceeded)) throw error;
          ctx.log.warn('stopped at the soft limit', { checkedBelow: number });
          return { primes, checkedBelow: number };
        }
      }
      if (isPrime(number)) primes += 1;
    }
    return { primes, checkedBelow: below };
  },
});

function isPrime(number: number): boolean {
  for (let divisor = 2; divisor * divisor <= number; divisor += 1) {
    if (number % divisor === 0) return false;
  }
  return true;
}
