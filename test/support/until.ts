import { setTimeout as delay } from 'node:timers/promises';

interface Patience {
  /** What is waited for, as the end of "waited for …". */
  what: string;
  timeoutMs?: number;
  everyMs?: number;
}

/**
 * Asks until `condition` gives something truthy, and returns it. A condition that throws counts as not yet.
 * @throws Error with `what`, the time waited and the last answer or error
 */
export async function until<T>(condition: () => T | Promise<T>, { what, timeoutMs = 5_000, everyMs = 25 }: Patience): Promise<Truthy<T>> {
  const deadline = performance.now() + timeoutMs;
  let last = 'no answer';
  for (;;) {
    try {
      const value = await condition();
      if (isTruthy(value)) return value;
      last = shown(value);
    } catch (error) {
      last = String(error);
    }
    if (performance.now() >= deadline) throw new Error(`waited ${timeoutMs} ms for ${what}; last: ${last}`);
    await delay(everyMs);
  }
}

type Truthy<T> = Exclude<T, false | 0 | '' | null | undefined>;

function isTruthy<T>(value: T): value is Truthy<T> {
  return Boolean(value);
}

function shown(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));
}
