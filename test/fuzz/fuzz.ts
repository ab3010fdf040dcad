/**
 * Sends what nobody should to the API of a real node, and checks that it stays what it is: `npm run fuzz -- --requests 100000 --seed 1`.
 *
 *   --requests N   how many, default 10,000; one in ten is raw bytes on a TLS connection of its own
 *   --seed S       where chance begins, default the time; each thousand has the next seed
 *   --path P       sends only this request of the seed, and makes the smallest that fails as it does
 *
 * A request that fails is made as small as possible and told with the seed and the path that repeat it. Ends with code 1 then, and when a
 * process has ended or started anew, the log tells of a fault, or the API's memory has grown.
 */
import { parseArgs } from 'node:util';
import fc from 'fast-check';
import { projectDir } from '../../shared/config.ts';
import { messageOf } from '../../shared/errors.ts';
import { type ApiNode, startApiNode } from '../integration/api-node.ts';
import { jobOf } from '../support/https.ts';
import type { TestProcess } from '../support/processes.ts';
import { runProgram } from '../support/program.ts';
import { until } from '../support/until.ts';
import { Exchange } from './exchange.ts';
import { Given } from './given.ts';
import { type Failure, type FuzzRequest, IN_FLIGHT, sendAll, smallest, type Target } from './load.ts';
import { Memory } from './memory.ts';
import { Secrets } from './oracle.ts';
import { rawRequests } from './raw.ts';
import { apiRequests } from './requests.ts';
import { Schemas } from './schema.ts';
import { Tally } from './tally.ts';
import { tasksFolder } from './tasks.ts';

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '10000' },
    seed: { type: 'string', default: String(Math.floor(Date.now() / 1000)) },
    path: { type: 'string' },
  },
});

/** Requests of one seed: they are made at once and sent before the next are made. */
const PER_SEED = 1000;

/** Events of the log that tell of a fault. */
const FAULTS: ReadonlySet<string> = new Set(['request.failed', 'api.crashed', 'schema.invalid']);

const say = (line: string) => void process.stdout.write(`${line}\n`);

function whole(name: string, value: string): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number) || number < 0) throw new Error(`--${name}: expected a whole number of at least 0, got ${value}`);
  return number;
}

async function main(): Promise<void> {
  const [count, seed] = [whole('requests', values.requests), whole('seed', values.seed)];
  const { folder, names } = tasksFolder();
  // Results go soon, so that the memory of Redis does not grow with the number of requests.
  const node = await startApiNode({
    TASKS_DIR: folder,
    UVICORN_WORKERS: '1',
    RESULT_EXPIRES: '60',
    RUN_MAX_WAIT: '2',
    WORKER_MAX_TASKS_PER_CHILD: '2000',
  });
  try {
    const consumer = await node.startConsumer();
    const schemas = await until(() => served(node, names), { what: 'all tasks to be served', timeoutMs: 20_000 });
    const requests = fc.oneof({ weight: 9, arbitrary: apiRequests(schemas, names) }, { weight: 1, arbitrary: rawRequests() });
    const exchange = new Exchange(node.api.origin, IN_FLIGHT);
    const target = {
      port: node.port,
      alive: () => isAlive(node.process),
      exchange,
      given: new Given(),
      secrets: new Secrets([node.redis.password, node.files, folder, projectDir]),
    };
    say(
      `seed ${seed}, ${values.path === undefined ? `${count} requests` : `path ${values.path}`}, ${names.length} tasks; Node ${process.version}`,
    );
    const fine =
      values.path === undefined ? await fuzz(node, target, requests, seed, count) : await repeat(target, requests, seed, values.path);
    await exchange.close();
    if (!(await isWell(node, consumer)) || !fine) process.exitCode = 1;
  } finally {
    await node.stop();
  }
}

async function served({ api }: ApiNode, names: readonly string[]): Promise<Schemas | undefined> {
  const schemas = new Schemas((await api.get('/openapi.json')).body);
  return names.every((name) => schemas.has(`/create/${name}`)) ? schemas : undefined;
}

/** Sends them all. @returns whether every answer and the memory were as they should be */
async function fuzz(node: ApiNode, target: Target, requests: fc.Arbitrary<FuzzRequest>, seed: number, count: number): Promise<boolean> {
  const [tally, memory] = [new Tally(), new Memory(node.process.pid)];
  const began = performance.now();
  let failure: Failure | undefined;
  for (let sent = 0; sent < count && failure === undefined; sent += PER_SEED) {
    failure = await sendAll(target, requests, seed + sent / PER_SEED, Math.min(PER_SEED, count - sent), tally);
    if (node.process.alive) memory.look();
  }
  const seconds = (performance.now() - began) / 1000;
  say(
    `\n${tally.table()}\n\n${seconds.toFixed(0)} s, ${(count / seconds).toFixed(0)} requests/s; declared 5xx: ${tally.of(503)} with 503, ${tally.of(507)} with 507`,
  );
  if (failure !== undefined) {
    await explain(target, requests, failure);
    return false;
  }
  // That a process has ended is told by the last look at the node.
  if (!node.process.alive) return false;
  const { text, flat } = await memory.verdict();
  say(text);
  return flat;
}

async function repeat(target: Target, requests: fc.Arbitrary<FuzzRequest>, seed: number, path: string): Promise<boolean> {
  const failure = await smallest(target, requests, { seed, path }, new Tally());
  if (failure === undefined) say('it does not fail');
  else tell('smallest', failure);
  return failure === undefined;
}

async function explain(target: Target, requests: fc.Arbitrary<FuzzRequest>, failure: Failure): Promise<void> {
  tell('failed', failure);
  if (!target.alive()) return say(`  the API has ended, by this request or one of the ${2 * IN_FLIGHT} before it`);
  const least = await smallest(target, requests, failure, new Tally());
  if (least === undefined) say('sent again alone it does not fail');
  else tell('smallest', least);
}

function tell(what: string, { seed, path, request, faults }: Failure): void {
  say(`\n${what}: --seed ${seed} --path ${path}\n  ${JSON.stringify(request).slice(0, 2000)}`);
  for (const fault of faults) say(`  ${fault}`);
}

function isAlive(process: TestProcess): boolean {
  return process.alive && !process.log.some(({ event }) => event === 'api.crashed');
}

/** Whether the node serves as before: the same processes, no fault in their logs, a job's result. */
async function isWell(node: ApiNode, consumer: TestProcess): Promise<boolean> {
  const faults = node.process.log
    .filter(({ event }) => FAULTS.has(event))
    .map((line) => `the log says ${JSON.stringify(line).slice(0, 1500)}`);
  for (const one of [node.process, consumer]) if (!one.alive) faults.push(`expected ${one.name} to live; its last lines:\n${one.tail()}`);
  if (isAlive(node.process)) await lastJob(node).catch((error: unknown) => faults.push(messageOf(error)));
  for (const fault of faults.slice(0, 10)) say(fault);
  say(
    faults.length === 0
      ? 'the API and the consumer live, their logs tell of no fault, and the last job has its result'
      : `${faults.length} faults`,
  );
  return faults.length === 0;
}

/** Waits for the result of one more job, which all those before may hold up. */
async function lastJob({ api }: ApiNode): Promise<void> {
  const { id } = jobOf(await api.post('/create/get_circle_area', { radius: 1 }));
  await until(async () => jobOf(await api.get(`/check/${id}`)).state === 'SUCCESS', { what: 'the last job to succeed', timeoutMs: 60_000 });
}

await runProgram(main);
