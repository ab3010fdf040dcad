/** The table of a run: every figure beside its floor and its bar, as aligned text, Markdown or plain data. */
import { median } from './measure.ts';

/** What must hold of a row: of its ratio to the floor, of the figure itself, or of what it has beyond the floor. */
export interface Bar {
  of: 'ratio' | 'figure' | 'excess';
  at: 'least' | 'most';
  value: number;
}

/** One line of the table. */
export interface Row {
  /** The case that it belongs to. */
  case: string;
  /** What is measured. */
  what: string;
  /** Such as `ms` or `requests/s`. */
  unit: string;
  /** FastTask's figure, round by round; empty when it was not measured, and then `note` says why. */
  ours: readonly number[];
  /** What it is compared with, measured in the same rounds. */
  floor?: { what: string; values: readonly number[] };
  bar?: Bar;
  /** What a reader should know beside. */
  note?: string;
}

interface Spread {
  median: number;
  least: number;
  most: number;
}

function spreadOf(values: readonly number[]): Spread {
  return { median: median(values), least: Math.min(...values), most: Math.max(...values) };
}

/**
 * The median of the ratios of the rounds: both sides of a round saw the same machine. Where the floor was not measured as often, the ratio
 * of the medians. Undefined without a floor.
 */
export function ratioOf(row: Row): Spread | undefined {
  return comparedWith(row, (ours, floor) => ours / floor);
}

function comparedWith({ ours, floor }: Row, compare: (ours: number, floor: number) => number): Spread | undefined {
  if (floor === undefined || ours.length === 0) return undefined;
  const { values } = floor;
  if (values.length !== ours.length) return spreadOf([compare(median(ours), median(values))]);
  return spreadOf(ours.map((value, round) => compare(value, values[round] ?? Number.NaN)));
}

/** Whether the row is at its bar; undefined where there is none, or nothing was measured. */
export function isMet(row: Row): boolean | undefined {
  const { bar, ours } = row;
  if (bar === undefined || ours.length === 0) return undefined;
  const value = barred(row, bar)?.median;
  if (value === undefined) return undefined;
  return bar.at === 'least' ? value >= bar.value : value <= bar.value;
}

function barred(row: Row, { of }: Bar): Spread | undefined {
  switch (of) {
    case 'ratio':
      return ratioOf(row);
    case 'excess':
      return comparedWith(row, (ours, floor) => ours - floor);
    case 'figure':
      return spreadOf(row.ours);
  }
}

/** What a row says, for programs. */
export function dataOf(row: Row) {
  const { ours, floor, ...rest } = row;
  return {
    ...rest,
    rounds: ours,
    ours: ours.length === 0 ? undefined : spreadOf(ours),
    floor: floor && { ...spreadOf(floor.values), what: floor.what, rounds: floor.values },
    ratio: ratioOf(row),
    met: isMet(row),
  };
}

const BAR_SUFFIXES = { ratio: ' ×', figure: '', excess: ' more' } as const;

const HEAD = ['case', 'what', 'FastTask', 'floor', 'of', 'ratio', 'bar', 'met'];

/** Columns under each other, for a terminal; notes stand below. */
export function textTable(rows: readonly Row[]): string {
  const lines = [HEAD, ...rows.map(cellsOf)];
  const widths = HEAD.map((_, column) => Math.max(...lines.map((cells) => (cells[column] ?? '').length)));
  const text = lines.map((cells) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  return [text[0], widths.map((width) => '-'.repeat(width)).join('  '), ...text.slice(1), ...notesOf(rows)].join('\n');
}

/** The same as Markdown. */
export function markdownTable(rows: readonly Row[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(HEAD), line(HEAD.map(() => '---')), ...rows.map((row) => line(cellsOf(row))), ...notesOf(rows)].join('\n');
}

function cellsOf(row: Row): string[] {
  const { ours, floor, unit, bar } = row;
  const ratio = ratioOf(row);
  const met = isMet(row);
  return [
    row.case,
    `${row.what}, ${unit}`,
    spreadText(ours),
    spreadText(floor?.values ?? []),
    floor?.what ?? '',
    ratio === undefined ? '' : spreadText([ratio.least, ratio.median, ratio.most]),
    bar === undefined ? '' : `${bar.at === 'least' ? '≥' : '≤'} ${bar.value}${BAR_SUFFIXES[bar.of]}`,
    met === undefined ? '' : met ? 'yes' : 'NO',
  ];
}

function notesOf(rows: readonly Row[]): string[] {
  const notes = rows.flatMap(({ case: name, note }) => (note === undefined ? [] : [`${name}: ${note}`]));
  return notes.length === 0 ? [] : ['', ...new Set(notes)];
}

/** The median, and the least and the most where they differ. */
function spreadText(values: readonly number[]): string {
  if (values.length === 0) return '–';
  const { median: middle, least, most } = spreadOf(values);
  return values.length === 1 ? short(middle) : `${short(middle)} (${short(least)}–${short(most)})`;
}

/** Three digits that count, and no fraction of what is large. */
function short(value: number): string {
  return value >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}
