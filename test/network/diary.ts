/** What really ran, as the tasks of test/fixtures/network_tasks wrote it down. Every process of this machine has the same clock. */
import { readFileSync, writeFileSync } from 'node:fs';

interface Line {
  event: 'start' | 'alive' | 'end';
  /** One execution of a job. */
  run: string;
  id: string;
  host: string;
  atMs: number;
}

export class Diary {
  readonly file: string;

  constructor(file: string) {
    this.file = file;
    writeFileSync(file, '');
  }

  /** How often the job has been started, and where, in order. */
  starts(id: string): Line[] {
    return this.#lines().filter((line) => line.id === id && line.event === 'start');
  }

  /** When this job was last seen alive: its last line. */
  lastSign(id: string): number {
    return Math.max(...this.#lines().flatMap((line) => (line.id === id ? [line.atMs] : [])));
  }

  /** The jobs of these that were started more than `times` times. */
  startedMoreThan(times: number, ids: readonly string[]): string[] {
    const counts = new Map<string, number>();
    for (const { id, event } of this.#lines()) if (event === 'start') counts.set(id, (counts.get(id) ?? 0) + 1);
    return ids.filter((id) => (counts.get(id) ?? 0) > times);
  }

  /** The hosts on which these jobs were started, each once, in alphabetical order. */
  hostsOf(ids: readonly string[]): string[] {
    const asked = new Set(ids);
    return [...new Set(this.#lines().flatMap(({ id, host }) => (asked.has(id) ? [host] : [])))].sort();
  }

  #lines(): Line[] {
    const text = readFileSync(this.file, 'utf8');
    // Somebody may be writing the last one.
    const whole = text.slice(0, text.lastIndexOf('\n'));
    return whole === '' ? [] : whole.split('\n').map((line) => JSON.parse(line) as Line);
  }
}

/** The clock of the diary, in milliseconds. */
export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
