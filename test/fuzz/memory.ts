/** The resident memory of a process (Linux) while it works. */
import { readFileSync } from 'node:fs';

/** By how much it may be larger at the end than when it was warm. */
const GROWTH = 1.25;
const GROWTH_MIB = 30;

export class Memory {
  readonly #pid: number;
  readonly #looks: number[] = [];

  constructor(pid: number) {
    this.#pid = pid;
  }

  look(): void {
    const [, kib] = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${this.#pid}/status`, 'utf8')) ?? [];
    this.#looks.push(Number(kib) / 1024);
  }

  /** The median of the second tenth of all looks beside that of the last one: in the first the process grows warm. */
  verdict(): { text: string; flat: boolean } {
    const tenth = Math.max(1, Math.floor(this.#looks.length / 10));
    const [warm, end] = [median(this.#looks.slice(tenth, 2 * tenth)), median(this.#looks.slice(-tenth))];
    if (this.#looks.length < 3) return { text: 'too few requests to see how the memory goes', flat: true };
    const limit = warm * GROWTH + GROWTH_MIB;
    const text = `resident memory of the API: ${warm.toFixed(0)} MiB when warm, ${end.toFixed(0)} MiB at the end, at most ${Math.max(...this.#looks).toFixed(0)} MiB; the limit is ${limit.toFixed(0)} MiB`;
    return { text, flat: end <= limit };
  }
}

function median(values: readonly number[]): number {
  return [...values].sort((one, other) => one - other)[Math.floor(values.length / 2)] ?? Number.NaN;
}
