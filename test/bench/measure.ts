/** Rounds, medians and the table that every benchmark prints. */
import { availableParallelism } from 'node:os';

/** One figure of a case beside its floor, round by round; more is better. */
export interface Figure {
  /** What is measured, such as `upload, MB/s`. */
  name: string;
  /** What the floor is. */
  floor: string;
  ours: number[];
  floors: number[];
  /** The ratio that is to be reached. */
  bar: number;
}

export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** Measures both sides in turn, so that what disturbs the machine disturbs both. The first round warms up and is not counted. */
export async function inRounds(
  rounds: number,
  ours: () => Promise<number>,
  floor: () => Promise<number>,
): Promise<Pick<Figure, 'ours' | 'floors'>> {
  const figure: Pick<Figure, 'ours' | 'floors'> = { ours: [], floors: [] };
  for (let round = 0; round <= rounds; round += 1) {
    const [own, bare] = round % 2 === 0 ? [await ours(), await floor()] : [await floor(), await ours()].reverse();
    if (round === 0 || own === undefined || bare === undefined) continue;
    figure.ours.push(own);
    figure.floors.push(bare);
  }
  return figure;
}

const spread = (values: readonly number[]) =>
  `${median(values).toFixed(0)} (${Math.min(...values).toFixed(0)}–${Math.max(...values).toFixed(0)})`;

export function ratioOf({ ours, floors }: Figure): number {
  return median(ours) / median(floors);
}

/** A Markdown table: medians of the rounds, with the least and the most. */
export function tableOf(figures: readonly Figure[]): string {
  const rows = figures.map(
    (figure) =>
      `| ${figure.name} | ${spread(figure.ours)} | ${figure.floor}: ${spread(figure.floors)} | ${ratioOf(figure).toFixed(2)} | ${figure.bar} |`,
  );
  return ['| case | FastTask | floor | ratio | at least |', '|---|---|---|---|---|', ...rows].join('\n');
}

/** Where it was measured. */
export function place(redis: string): string {
  return `Node ${process.version}, Redis ${redis}, ${availableParallelism()} cores`;
}
