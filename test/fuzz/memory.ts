/** The resident memory of a process (Linux) while it works. */
import { readFileSync } from 'node:fs';
import { until } from '../support/until.ts';

/** By how much it may be larger at the end than when it was warm. */
const GROWTH = 1.25;
const GROWTH_MIB = 30;

/** How long it may rest until it is below that, and the pause between two looks, in milliseconds: V8 looks every 8 s whether a heap rests. */
const REST_MS = 60_000;
const LOOK_MS = 500;

export class Memory {
  readonly #pid: number;
  readonly #looks: number[] = [];

  constructor(pid: number) {
    this.#pid = pid;
  }

  /** @returns MiB */
  look(): number {
    const [, kib] = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${this.#pid}/status`, 'utf8')) ?? [];
    const mib = Number(kib) / 1024;
    this.#looks.push(mib);
    return mib;
  }

  /**
   * The median of the second tenth of all looks, because in the first the process grows warm, beside the last one. At work the process may hold
   * garbage of any age: where it is above the limit, it gets a minute's rest to come below it.
   */
  async verdict(): Promise<{ text: string; flat: boolean }> {
    const tenth = Math.max(1, Math.floor(this.#looks.length / 10));
    const warm = median(this.#looks.slice(tenth, 2 * tenth));
    if (this.#looks.length < 3) return { text: 'too few requests to see how the memory goes', flat: true };
    const most = Math.max(...this.#looks);
    const limit = warm * GROWTH + GROWTH_MIB;
    const began = performance.now();
    const rest = { what: 'the memory to come below the limit', timeoutMs: REST_MS, everyMs: LOOK_MS };
    await until(() => this.look() <= limit, rest).catch(() => undefined);
    const end = this.#looks.at(-1) ?? Number.NaN;
    const text = `resident memory of the API: ${warm.toFixed(0)} MiB when warm, at most ${most.toFixed(0)} MiB, ${end.toFixed(0)} MiB after ${((performance.now() - began) / 1000).toFixed(0)} s without requests; the limit is ${limit.toFixed(0)} MiB`;
    return { text, flat: end <= limit };
  }
}

function median(values: readonly number[]): number {
  return [...values].sort((one, other) => one - other)[Math.floor(values.length / 2)] ?? Number.NaN;
}
