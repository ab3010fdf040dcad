import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { EventStreams } from '../../services/api/event-streams.ts';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

/** A stream as the set of them knows it. */
function openStream(streams: EventStreams, stillAllowed: () => Promise<boolean>) {
  const seen: string[] = [];
  const stream = {
    keepAlive: () => void seen.push('alive'),
    stop: () => {
      seen.push('stopped');
      streams.delete(stream);
    },
  };
  streams.add(stream, stillAllowed);
  return seen;
}

test('each stream gives a sign of life every 15 s, and ends with its client’s rights', async () => {
  const streams = new EventStreams();
  let allowed = true;
  const [one, refused] = [openStream(streams, async () => allowed), openStream(streams, () => Promise.reject(new Error('unauthorized')))];
  await vi.advanceTimersByTimeAsync(14_000);
  const late = openStream(streams, async () => allowed);
  await vi.advanceTimersByTimeAsync(2000);
  expect([one, refused, late]).toEqual([['alive'], ['stopped'], []]);
  await vi.advanceTimersByTimeAsync(30_000);
  expect([one, late]).toEqual([Array(3).fill('alive'), ['alive', 'alive']]);
  allowed = false;
  await vi.advanceTimersByTimeAsync(16_000);
  expect([one.at(-1), late.at(-1), vi.getTimerCount()]).toEqual(['stopped', 'stopped', 0]);
});
