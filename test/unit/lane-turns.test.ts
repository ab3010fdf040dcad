import { expect, test } from 'vitest';
import type { Lane } from '../../services/consumer/lane.ts';
import { LaneTurns } from '../../services/consumer/lane-turns.ts';

const lane = (name: string, mayHaveWork = true) => ({ name, mayHaveWork }) as Lane;

test('lanes with work are next in turn, and the current one again where no other has any', () => {
  const [first, second, third] = [lane('first'), lane('second', false), lane('third')];
  const turns = new LaneTurns([first, second, third]);
  expect(turns.next()).toBe(first);
  turns.begin(first);
  expect(turns.next()).toBe(third);
  turns.begin(third);
  expect(turns.next()).toBe(first);
  first.mayHaveWork = false;
  expect(turns.next()).toBe(third);
  third.mayHaveWork = false;
  expect(turns.next()).toBeUndefined();
});

test('the turn of a lane that has just begun is not over, and that of one which never had a turn is', () => {
  const [first, second] = [lane('first'), lane('second')];
  const turns = new LaneTurns([first, second]);
  turns.begin(first);
  expect([turns.isOver(first), turns.isOver(second)]).toEqual([false, true]);
});
