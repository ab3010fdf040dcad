/** What a case of the benchmark is, and what it is given. */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { projectDir } from '../../shared/config.ts';
import type { TestProcess } from '../support/processes.ts';
import { type CpuProfile, profileText } from './profile.ts';
import type { Row } from './table.ts';

/** Cases that are measured on the same processes. */
export interface Group {
  /** The cases by name, each with a line on what it measures. */
  readonly cases: Readonly<Record<string, string>>;
  /** Which of them load a process of FastTask that can be profiled. */
  readonly profiled?: readonly string[];
  /** Measures those of its cases that are wanted. Ends what it starts. */
  measure(bench: Bench, wanted: ReadonlySet<string>): Promise<Row[]>;
}

export interface BenchOptions {
  /** Rounds that are counted. */
  rounds: number;
  /** Another base URL with the same HTTP contract, for the cases that speak HTTP only. */
  url?: string;
  /** `name:password` for it. */
  user?: string;
  /** The case of whose process a CPU profile is taken. */
  profile?: string;
  /** Size of the file of the case `transfer`, in MB. */
  megabytes: number;
}

/** One run: its options, and the CPU profile where one is asked for. */
export class Bench {
  readonly options: BenchOptions;
  readonly rounds: number;
  readonly #profileFile: string | undefined;
  #calls = 0;

  constructor(options: BenchOptions) {
    this.options = options;
    this.rounds = options.rounds;
    if (options.profile === undefined) return;
    const folder = join(projectDir, '.tmp');
    mkdirSync(folder, { recursive: true });
    this.#profileFile = join(folder, `${options.profile}.cpuprofile`);
  }

  /** What a process is started with that one of these cases loads. */
  env(...cases: readonly string[]): Record<string, string> {
    if (this.#profileFile === undefined || !cases.includes(this.options.profile ?? '')) return {};
    const profiler = pathToFileURL(join(projectDir, 'test', 'bench', 'profiler.mjs')).href;
    return { NODE_OPTIONS: `--import=${profiler}`, BENCH_PROFILE: this.#profileFile };
  }

  /** Does the work that loads a process for a case; takes the profile the second time, when the process is warm. */
  async loading<T>(name: string, process: TestProcess | undefined, work: () => Promise<T>): Promise<T> {
    if (this.options.profile !== name || process === undefined) return await work();
    this.#calls += 1;
    if (this.#calls !== 2) return await work();
    process.signal('SIGUSR2');
    await process.waitForEvent('profile.started');
    const result = await work();
    process.signal('SIGUSR2');
    await process.waitForEvent('profile.written', { timeoutMs: 30_000 });
    return result;
  }

  /** The profile that was taken, as text; undefined when none was asked for. */
  profileText(): string | undefined {
    if (this.#profileFile === undefined) return undefined;
    return `${this.#profileFile}\n\n${profileText(JSON.parse(readFileSync(this.#profileFile, 'utf8')) as CpuProfile)}`;
  }
}
