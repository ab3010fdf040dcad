/**
 * What FastTask costs on top of its parts: `npm run bench`. Every figure stands beside its floor from the same run. README.md tells more.
 *
 *   --cases a,b       only these cases
 *   --list            print the cases and end
 *   --rounds N        rounds that are counted, default 5
 *   --markdown        print a Markdown table instead of text
 *   --json [FILE]     print the figures as JSON too, or write them to a file
 *   --strict          end with 1 when a row is not at its bar
 *   --url BASE        send the cases that speak HTTP only to another installation with the same contract
 *   --user NAME:PASS  how to sign in there
 *   --profile CASE    take a CPU profile of the process that the case loads, and sum it up
 *   --megabytes N     size of the file that is sent and fetched, default 256
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { messageOf } from '../../shared/errors.ts';
import { runProgram } from '../support/program.ts';
import { redisProgram } from '../support/redis.ts';
import { Bench, type Group } from './case.ts';
import { caseNames, groups } from './cases.ts';
import { headerOf } from './header.ts';
import { dataOf, isMet, markdownTable, type Row, textTable } from './table.ts';

const { values } = parseArgs({
  args: withFile(process.argv.slice(2)),
  options: {
    cases: { type: 'string' },
    list: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '5' },
    markdown: { type: 'boolean', default: false },
    json: { type: 'string' },
    strict: { type: 'boolean', default: false },
    url: { type: 'string' },
    user: { type: 'string' },
    profile: { type: 'string' },
    megabytes: { type: 'string', default: '256' },
  },
});

/** Stands for standard output where `--json` names no file. */
function withFile(args: readonly string[]): string[] {
  return args.map((arg, index) => (arg === '--json' && (args[index + 1] ?? '--').startsWith('--') ? '--json=-' : arg));
}

function wantedCases(): ReadonlySet<string> {
  const names = (values.profile ?? values.cases)?.split(',') ?? caseNames;
  const known = values.profile === undefined ? caseNames : groups.flatMap(({ profiled = [] }) => profiled);
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new Error(`expected cases out of ${known.join(', ')}; got ${unknown.join(', ')}`);
  return new Set(names);
}

async function main(): Promise<void> {
  if (values.list) {
    for (const { cases } of groups) for (const [name, text] of Object.entries(cases)) process.stdout.write(`${name.padEnd(10)} ${text}\n`);
    return;
  }
  const wanted = wantedCases();
  const rounds = values.profile === undefined ? Number(values.rounds) : 1;
  const { url, user, profile } = values;
  const bench = new Bench({
    rounds,
    megabytes: Number(values.megabytes),
    ...(url === undefined ? {} : { url }),
    ...(user === undefined ? {} : { user }),
    ...(profile === undefined ? {} : { profile }),
  });
  const header = headerOf((await redisProgram()).version, rounds);
  process.stdout.write(`${header.text}\n`);
  const started = performance.now();
  const rows: Row[] = [];
  for (const group of groups) {
    const own = new Set(Object.keys(group.cases).filter((name) => wanted.has(name)));
    if (own.size === 0) continue;
    const began = performance.now();
    process.stderr.write(`measuring ${[...own].join(', ')} …`);
    rows.push(...(await rowsOf(group, bench, own)));
    process.stderr.write(` ${((performance.now() - began) / 1000).toFixed(0)} s\n`);
  }
  process.stdout.write(
    `\n${values.markdown ? markdownTable(rows) : textTable(rows)}\n\ntook ${((performance.now() - started) / 60_000).toFixed(1)} minutes\n`,
  );
  if (values.json !== undefined) writeJson(values.json, { ...header.data, rows: rows.map(dataOf) });
  const profiled = bench.profileText();
  if (profiled !== undefined) process.stdout.write(`\n${profiled}\n`);
  if (values.strict && rows.some((row) => isMet(row) === false)) process.exitCode = 1;
}

/** A case that fails does not take the others along: what went wrong stands in its row. */
async function rowsOf(group: Group, bench: Bench, wanted: ReadonlySet<string>): Promise<Row[]> {
  try {
    return await group.measure(bench, wanted);
  } catch (error) {
    process.exitCode = 1;
    return [...wanted].map((name) => ({ case: name, what: 'failed', unit: 'see below', ours: [], note: messageOf(error) }));
  }
}

function writeJson(file: string, data: unknown): void {
  const text = `${JSON.stringify(data, null, 2)}\n`;
  if (file === '-') process.stdout.write(`\n${text}`);
  else writeFileSync(file, text);
}

await runProgram(main);
