/** Rounds, medians and percentiles. */
import { availableParallelism } from 'node:os';

/** Of an even number of values the upper one of the two in the middle. */
export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** The smallest value that at least this share of the values does not exceed (nearest rank). @param share such as 0.99 */
export function percentile(values: readonly number[], share: number): number {
  return [...values].sort((a, b) => a - b)[Math.max(0, Math.ceil(values.length * share) - 1)] ?? Number.NaN;
}

/**
 * Measures everybody in turn, so that what disturbs the machine disturbs all; who begins changes from round to round. A first round
 * warms up and is not counted, unless everybody is a new process each time.
 * @returns what each measured, round by round
 */
export async function inTurn<Name extends string>(
  rounds: number,
  contenders: Readonly<Record<Name, () => Promise<number>>>,
  { warm = true }: { warm?: boolean } = {},
): Promise<Record<Name, number[]>> {
  const names = Object.keys(contenders) as Name[];
  const measured = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Name, number[]>;
  for (let round = warm ? 0 : 1; round <= rounds; round += 1) {
    const order = names.map((_, place) => names[(place + round) % names.length] as Name);
    for (const name of order) {
      const value = await contenders[name]();
      if (round > 0) measured[name].push(value);
    }
  }
  return measured;
}

/** Where it was measured. */
export function place(redis: string): string {
  return `Node ${process.version}, Redis ${redis}, ${availableParallelism()} cores`;
}
