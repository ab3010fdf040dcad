import { expect, test } from 'vitest';
import { Batch, type BatchOptions } from '../../shared/batch.ts';

/** A batch that doubles numbers, fails at negative ones, and ends whole flights that hold a 13. */
function doubling(options?: BatchOptions) {
  const flights: number[][] = [];
  const batch = new Batch<number, number>(async (items) => {
    flights.push(items);
    if (items.includes(13)) throw new Error('this flight has crashed');
    return items.map((item) => (item < 0 ? new Error(`${item} is negative`) : 2 * item));
  }, options);
  return { batch, flights };
}

test('what one turn of the event loop brings leaves together, and each gets its own answer', async () => {
  const { batch, flights } = doubling();
  const first = batch.add(1);
  const second = Promise.resolve().then(() => batch.add(2));
  expect(flights).toEqual([]);
  expect(await Promise.all([first, second])).toEqual([2, 4]);
  expect(await batch.add(3)).toBe(6);
  expect(flights).toEqual([[1, 2], [3]]);
});

test('the first few of a turn leave at once while no flight is under way', async () => {
  const { batch, flights } = doubling();
  const items = Array.from({ length: 20 }, (_, index) => index + 20);
  const answers = items.map((item) => batch.add(item));
  expect(flights).toEqual([items.slice(0, 8)]);
  expect(await Promise.all(answers)).toEqual(items.map((item) => 2 * item));
  expect(flights).toEqual([items.slice(0, 8), items.slice(8)]);
});

test('a flight holds no more than the most', async () => {
  const { batch, flights } = doubling({ most: 2 });
  expect(await Promise.all([1, 2, 3, 4, 5].map((item) => batch.add(item)))).toEqual([2, 4, 6, 8, 10]);
  expect(flights).toEqual([[1, 2], [3, 4], [5]]);
});

test('an item that fails takes no other with it', async () => {
  const { batch } = doubling();
  const [good, bad] = await Promise.allSettled([batch.add(1), batch.add(-1)]);
  expect(good).toEqual({ status: 'fulfilled', value: 2 });
  expect(bad).toMatchObject({ status: 'rejected', reason: { message: '-1 is negative' } });
});

test('a flight that fails rejects its own items and nobody else', async () => {
  const { batch } = doubling({ most: 2 });
  const outcomes = await Promise.allSettled([13, 1, 2].map((item) => batch.add(item)));
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'fulfilled']);
  expect(await batch.add(4)).toBe(8);
});

test('a flight that answers for too few items rejects them all', async () => {
  const batch = new Batch<number, number>(async () => [1]);
  const outcomes = await Promise.allSettled([batch.add(1), batch.add(2)]);
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
});
