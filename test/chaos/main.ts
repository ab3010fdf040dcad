/**
 * Chaos: `npm run chaos -- --minutes 1 --seed 1 [--seeds 10] [--parallel 2] [--aof always] [--broken revoke]`. Starts a real node,
 * loads it, breaks it at random, lets it heal, and checks what happened against the promises. Exit code 1 on a violation.
 */
import { appendFileSync, cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { projectDir } from '../../shared/config.ts';
import { closeClients } from '../support/https.ts';
import { removeTempDirs, tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';
import { violationsOf } from './checker.ts';
import { injectFaults } from './faults.ts';
import { type Fault, type History, nowMs, type Observation } from './history.ts';
import { Load } from './load.ts';
import { ChaosNode, CONCURRENCY } from './node.ts';
import { Random } from './random.ts';

const { values: options } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    seeds: { type: 'string', default: '1' },
    parallel: { type: 'string', default: '1' },
    aof: { type: 'string', default: 'everysec' },
    broken: { type: 'string' },
    keep: { type: 'string' },
  },
});

/** How long everything may take to come to rest after the faults: a lost job is found again after 15 s, and runs isolated. */
const REST_MS = 120_000;

/** The nodes that run now. */
const nodes = new Set<ChaosNode>();

async function chaosRun(seed: number, dir: string): Promise<number> {
  const node = await ChaosNode.make(dir);
  nodes.add(node);
  try {
    await node.start();
    const aofAlways = options.aof === 'always';
    if (aofAlways) await node.redis.config('SET', 'appendfsync', 'always');
    const load = new Load(node.origin, seed);
    const faults: Fault[] = [];
    load.start();
    await injectFaults(node, new Random(seed), nowMs() + Number(options.minutes) * 60_000, (fault) => faults.push(fault));
    await load.stop();
    const loadEndedMs = nowMs();
    const finals = await atRest(load);
    const leftovers = [...(await node.leftovers()), ...(await serves(load, node))];
    const { acknowledged, revokes, observations } = load;
    const history: History = {
      acknowledged,
      revokes,
      observations,
      finals,
      faults,
      diary: node.diary(),
      handedBack: node.handedBack(),
      leftovers,
      concurrency: CONCURRENCY,
      loadEndedMs,
      aofAlways,
    };
    const violations = violationsOf(history);
    if (violations.length > 0 && options.keep !== undefined) keep(options.keep, seed, history, node);
    report(seed, history, violations, load.refused);
    return violations.length;
  } finally {
    nodes.delete(node);
    await node.stop();
  }
}

/** Looks at every acknowledged job until all have ended, or the time is over. */
async function atRest(load: Load): Promise<Observation[]> {
  const ended = new Map<string, Observation>();
  const latest = new Map<string, Observation>();
  await until(
    async () => {
      for (const { id } of load.acknowledged.filter((job) => !ended.has(job.id))) {
        const seen = await load.look(id);
        if (seen === undefined) continue;
        latest.set(id, seen);
        if (['SUCCESS', 'FAILURE', 'REVOKED', 'missing'].includes(seen.state)) ended.set(id, seen);
      }
      return ended.size === load.acknowledged.length;
    },
    { what: 'all jobs to end', timeoutMs: REST_MS, everyMs: 500 },
  ).catch(() => undefined);
  return load.acknowledged.map(({ id }) => latest.get(id) ?? { id, state: 'unknown', atMs: nowMs() });
}

/** A fresh job must run, and nothing may be active behind it. */
async function serves(load: Load, node: ChaosNode): Promise<string[]> {
  const fresh = new Load(node.origin, 1);
  fresh.start();
  const healthy = await until(() => fresh.acknowledged.length > 0, { what: 'a job to be taken', timeoutMs: 20_000 }).then(
    () => true,
    () => false,
  );
  await fresh.stop();
  const ends = healthy ? await atRest(fresh) : [];
  load.acknowledged.push(...fresh.acknowledged);
  const stuck = ends.filter(({ state }) => !['SUCCESS', 'FAILURE', 'REVOKED'].includes(state));
  return [...(healthy ? [] : ['nobody takes a job any more']), ...stuck.map(({ id, state }) => `a fresh job is ${state}: ${id}`)];
}

function report(
  seed: number,
  { acknowledged, faults, diary }: History,
  violations: readonly string[],
  refused: Record<string, number>,
): void {
  const starts = diary.filter(({ event }) => event === 'start').length;
  const kinds = [...new Set(faults.map(({ kind, target }) => `${kind} ${target}`))].sort();
  process.stdout.write(
    `seed ${seed}: ${acknowledged.length} acknowledged, ${starts} starts, ${faults.length} faults (${kinds.join(', ')}), refused ${JSON.stringify(refused)}, ${violations.length} violations\n`,
  );
  for (const violation of violations.slice(0, 20)) process.stdout.write(`  ${violation}\n`);
}

function keep(folder: string, seed: number, history: History, node: ChaosNode): void {
  writeFileSync(join(folder, `history-${seed}.json`), JSON.stringify(history, null, 1));
  for (const app of ['consumer', 'api', 'redis'] as const) appendFileSync(join(folder, `${app}-${seed}.log`), node.log(app));
}

/** Changes that break a promise; a run on such a build must find it. */
const breaks: Record<string, { file: string; from: string; to: string }> = {
  revoke: { file: 'shared/job-scripts.ts', from: "redis.call('HSET', job, 'defa',", to: "redis.call('HSET', job, 'ignored'," },
  places: { file: 'shared/job-scripts.ts', from: '< tonumber(ARGV[6]) then', to: '< 1000 then' },
};

/** A copy of the project in which one thing is broken. */
function brokenCopy(name: string): string {
  const change = breaks[name];
  if (change === undefined) throw new Error(`--broken: expected one of ${Object.keys(breaks).join(', ')}, got ${name}`);
  const dir = join(tempDir('broken'), 'project');
  const left = ['.git', 'node_modules', 'dist', 'files'];
  cpSync(projectDir, dir, { recursive: true, filter: (path) => !left.includes(relative(projectDir, path)) });
  cpSync(join(projectDir, 'node_modules'), join(dir, 'node_modules'), { recursive: true, filter: (path) => !path.includes('/.cache/') });
  const text = readFileSync(join(dir, change.file), 'utf8');
  if (!text.includes(change.from)) throw new Error(`--broken ${name}: expected to find ${change.from} in ${change.file}`);
  writeFileSync(join(dir, change.file), text.replace(change.from, change.to));
  return dir;
}

async function main(): Promise<number> {
  const dir = options.broken === undefined ? projectDir : brokenCopy(options.broken);
  const seeds = Array.from({ length: Number(options.seeds) }, (_, index) => Number(options.seed) + index);
  let runs = 0;
  let violations = 0;
  const lane = async () => {
    for (let seed = seeds.shift(); seed !== undefined; seed = seeds.shift()) {
      violations += await chaosRun(seed, dir);
      runs += 1;
    }
  };
  await Promise.all(Array.from({ length: Number(options.parallel) }, lane));
  process.stdout.write(`${runs} runs of ${options.minutes} min: ${violations} violations\n`);
  return violations;
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    void Promise.all([...nodes].map((node) => node.stop())).then(() => {
      removeTempDirs();
      process.exit(130);
    });
  });
}
let violations = 1;
try {
  violations = await main();
} finally {
  await closeClients();
  removeTempDirs();
}
const expected = options.broken !== undefined;
process.exit(violations > 0 === expected ? 0 : 1);
