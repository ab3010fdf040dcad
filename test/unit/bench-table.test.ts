import { describe, expect, it } from 'vitest';
import { inTurn, median, percentile } from '../bench/measure.ts';
import { dataOf, isMet, markdownTable, type Row, ratioOf, textTable } from '../bench/table.ts';

const row: Row = {
  case: 'create',
  what: 'POST /create',
  unit: 'requests/s',
  ours: [80, 100, 95],
  floor: { what: 'Koa + queue.add', values: [100, 100, 100] },
  bar: { of: 'ratio', at: 'least', value: 0.9 },
};

describe('medians and percentiles', () => {
  it('take the value in the middle, and the nearest rank', () => {
    expect(median([3, 1, 2])).toBe(2);
    const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);
    expect(percentile(hundred, 0.99)).toBe(99);
    expect(percentile(hundred, 0.5)).toBe(50);
    expect(percentile([7], 0.99)).toBe(7);
  });
});

describe('rounds', () => {
  it('measure everybody in turn, change who begins, and do not count the first', async () => {
    const calls: string[] = [];
    const contender = (name: string) => async () => calls.push(name);
    const measured = await inTurn(2, { a: contender('a'), b: contender('b') });
    expect(calls.join('')).toBe('abbaab');
    expect(measured).toEqual({ a: [4, 5], b: [3, 6] });
  });

  it('count the first where nothing needs to be warm', async () => {
    expect(await inTurn(2, { a: async () => 1 }, { warm: false })).toEqual({ a: [1, 1] });
  });
});

describe('a row', () => {
  it('compares round by round', () => {
    expect(ratioOf(row)).toEqual({ median: 0.95, least: 0.8, most: 1 });
    expect(isMet(row)).toBe(true);
    expect(isMet({ ...row, ours: [80, 85, 100] })).toBe(false);
  });

  it('compares medians where the floor was measured less often', () => {
    expect(ratioOf({ ...row, floor: { what: 'once', values: [190] } })?.median).toBe(0.5);
  });

  it('may have a bar for the figure itself, or none', () => {
    const { floor, ...alone } = row;
    const bar = { of: 'figure', at: 'most', value: 94 } as const;
    expect(isMet({ ...alone, bar })).toBe(false);
    expect(isMet({ ...alone, bar: { ...bar, value: 95 } })).toBe(true);
    expect(isMet({ ...row, ours: [] })).toBeUndefined();
    expect(dataOf({ ...alone, ours: [] })).toMatchObject({ ours: undefined, ratio: undefined });
  });

  it('may have a bar for what it has beyond its floor', () => {
    const bar = { of: 'excess', at: 'most', value: -5 } as const;
    expect(isMet({ ...row, bar })).toBe(true);
    expect(isMet({ ...row, bar: { ...bar, value: -6 } })).toBe(false);
  });

  it('stands in a table, its note below', () => {
    const lines = textTable([{ ...row, note: 'a note' }]).split('\n');
    expect(lines[0]).toMatch(/^case {4}what {21}/);
    expect(lines[2]).toContain('95 (80–100)');
    expect(lines[2]).toContain('≥ 0.9 ×  yes');
    expect(lines.at(-1)).toBe('create: a note');
    expect(markdownTable([row]).split('\n')[2]).toBe(
      '| create | POST /create, requests/s | 95 (80–100) | 100 (100–100) | Koa + queue.add | 0.95 (0.8–1) | ≥ 0.9 × | yes |',
    );
  });
});
