/**
 * Breaks a real installation at random and checks its promises: `npm run chaos -- --minutes 2 --seed 1`.
 *
 *   --minutes N     length of the load, default 1
 *   --seed S        where chance begins, default the time
 *   --seeds K       K runs, with the seeds S, S + 1, …
 *   --parallel P    so many installations at once
 *   --aof always    Redis writes to its disk before it answers: then a kill of Redis excuses nothing
 *   --keep          keep the history of a run without violations too
 *   --broken NAME   put a defect into the build (see broken.ts); the run must find it
 *   --check FILE    judge a history that was kept, and run nothing
 *
 * Ends with code 1 when a promise was broken, or when a defect was not found.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { projectDir } from '../../shared/config.ts';
import { folderWithRedis } from '../support/clone.ts';
import { closeClients } from '../support/https.ts';
import { makeInstallation } from '../support/installation.ts';
import { living } from '../support/processes.ts';
import { removeTempDirs } from '../support/temp.ts';
import { breakTree } from './broken.ts';
import { check } from './checker.ts';
import { readHistory } from './history.ts';
import { report } from './report.ts';
import { type ChaosRun, runChaos } from './run.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    seed: { type: 'string', default: String(Math.floor(Date.now() / 1000)) },
    seeds: { type: 'string', default: '1' },
    parallel: { type: 'string', default: '1' },
    aof: { type: 'string', default: 'everysec' },
    keep: { type: 'boolean', default: false },
    broken: { type: 'string' },
    check: { type: 'string' },
  },
});

const interruption = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interruption.abort(new Error(`interrupted by ${signal}`)));
const say = (line: string) => void process.stdout.write(`${line}\n`);

function above(name: string, value: string, least: number): number {
  const number = Number(value);
  if (!(number >= least)) throw new Error(`--${name}: expected a number of at least ${least}, got ${value}`);
  return number;
}

/** A built clone, so that work on this tree does not change what is being tested. */
async function builtTree(): Promise<{ tree: string; redisFolder: string }> {
  say('building a clone …');
  const { dir, npm } = await makeInstallation();
  const { code, output } = await npm(['run', 'build']);
  if (code !== 0) throw new Error(`the build failed:\n${output}`);
  return { tree: dir, redisFolder: await folderWithRedis() };
}

/** All seeds, `parallel` at a time. @returns the rules that were broken */
async function runAll(options: Omit<ChaosRun, 'seed'>): Promise<Set<string>> {
  const first = above('seed', values.seed, 0);
  const seeds = Array.from({ length: above('seeds', values.seeds, 1) }, (_, index) => first + index);
  const broken = new Set<string>();
  const next = async (): Promise<void> => {
    for (let seed = seeds.shift(); seed !== undefined && !interruption.signal.aborted; seed = seeds.shift()) {
      say(`seed ${seed}: ${options.minutes} min begin`);
      const history = await runChaos({ ...options, seed });
      const verdict = check(history);
      report(history, verdict, say);
      for (const { rule } of verdict.violations) broken.add(rule);
      if (verdict.violations.length > 0 || values.keep) say(`  kept in ${keep(seed, JSON.stringify(history))}`);
    }
  };
  await Promise.all(Array.from({ length: above('parallel', values.parallel, 1) }, next));
  return broken;
}

function keep(seed: number, text: string): string {
  const folder = join(projectDir, '.tmp', 'chaos');
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${values.broken ?? 'seed'}-${seed}.json`);
  writeFileSync(file, text);
  return file;
}

async function main(): Promise<boolean> {
  if (values.aof !== 'everysec' && values.aof !== 'always') throw new Error(`--aof: expected everysec or always, got ${values.aof}`);
  if (values.check !== undefined) {
    const history = readHistory(values.check);
    const verdict = check(history);
    report(history, verdict, say);
    return verdict.violations.length === 0;
  }
  const minutes = above('minutes', values.minutes, 0.1);
  const { tree, redisFolder } = await builtTree();
  const expected = values.broken === undefined ? undefined : breakTree(tree, values.broken);
  const found = await runAll({ tree, redisFolder, minutes, fsyncAlways: values.aof === 'always', signal: interruption.signal, say });
  interruption.signal.throwIfAborted();
  if (expected === undefined) return found.size === 0;
  say(`the defect ${values.broken} ${found.has(expected) ? 'was found' : `was not found: expected a violation of the rule ${expected}`}`);
  return found.has(expected);
}

try {
  process.exitCode = (await main()) ? 0 : 1;
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
} finally {
  await closeClients();
  for (const left of living()) await left.kill9();
  removeTempDirs();
}
