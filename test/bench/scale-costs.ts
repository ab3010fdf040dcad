/** What a job, a resting consumer and a resting API process cost Redis. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Redis as Server } from 'ioredis';
import { mastersOf } from '../../shared/redis.ts';
import { apiClient, jobOf } from '../support/https.ts';
import { freePort } from '../support/ports.ts';
import { startService } from '../support/processes.ts';
import { TestQueue } from '../support/queue.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';
import { connectionsByClient, type Sent, usedMemory, type Watched, watch } from './redis-watch.ts';
import { noopTasks, SPREAD_NAMES } from './scale-tasks.ts';
import { QUIET, submit } from './scale-throughput.ts';

/** Something of a consumer that has a part for itself and a part for each of its tasks. */
export interface ByTasks {
  fixed: number;
  perTask: number;
}

/** Commands are those that clients send: what a script calls is part of it. All rates are per second. */
export interface Costs {
  connections: { consumer: ByTasks; api: number };
  rest: { commands: ByTasks; cpuUs: ByTasks; bytes: ByTasks; apiCommands: number; apiCpuUs: number };
  /** Of one job: one after the other through the API, and of many that wait for a consumer of several tasks. */
  alone: PerJob;
  busy: PerJob;
  waitingBytes: number;
  finishedBytes: number;
}

interface PerJob {
  jobs: number;
  watched: Watched;
}

const MANY = SPREAD_NAMES;
const ONE = SPREAD_NAMES.slice(0, 1);
const ALONE_JOBS = 200;
const BUSY_JOBS = 3000;
const STORED_JOBS = 10_000;

/** 100 bytes of params as JSON. */
const PARAMS = { text: 'x'.repeat(89) };

/** What the embedded server has, too. */
const SERVER = { kind: 'server', args: ['hash-max-ziplist-value 1024'] } as const;

/** @param seconds for how long a resting installation is watched */
export async function measureCosts(seconds: number): Promise<Costs> {
  const [few, many] = [await TestQueue.start(SERVER), await TestQueue.start(SERVER)];
  try {
    const [fewServer, manyServer] = [serverOf(few), serverOf(many)];
    const empty = await watch(manyServer, () => pause(seconds * 500));
    await few.consumer({ ...QUIET, TASKS_DIR: noopTasks(ONE) });
    const consumer = await many.consumer({ ...QUIET, TASKS_DIR: noopTasks(MANY) });
    const [restFew, restMany] = await Promise.all([fewServer, manyServer].map((server) => watch(server, () => pause(seconds * 1000))));
    if (restFew === undefined || restMany === undefined) throw new Error('expected two servers');
    const api = await startApi(many);
    const restApi = await watch(manyServer, () => pause(seconds * 1000));
    const connections = await connectionsByClient(manyServer);
    const rate = (value: (watched: Watched) => number) =>
      byTasks(
        value(restFew) / restFew.seconds - value(empty) / empty.seconds,
        value(restMany) / restMany.seconds - value(empty) / empty.seconds,
      );

    // The consumer is warm then, and this connection knows BullMQ's scripts by name.
    await submit(many, BUSY_JOBS);
    await allEnd(many, () => {});
    const alone = { jobs: ALONE_JOBS, watched: await watch(manyServer, () => oneByOne(api, ALONE_JOBS)) };
    consumer.signal('SIGSTOP');
    await submit(many, BUSY_JOBS);
    const busy = { jobs: BUSY_JOBS, watched: await watch(manyServer, () => allEnd(many, () => consumer.signal('SIGCONT'))) };
    await consumer.kill9();
    const before = await usedMemory(manyServer);
    await submit(many, STORED_JOBS, PARAMS, ONE);
    const waiting = await usedMemory(manyServer);
    await allEnd(many, () => void many.consumer({ ...QUIET, TASKS_DIR: noopTasks(ONE) }));
    const finished = await usedMemory(manyServer);
    return {
      connections: {
        consumer: byTasks(ofConsumer(await connectionsByClient(fewServer)), ofConsumer(connections)),
        api: [...connections].reduce((total, [name, count]) => total + (name.startsWith('api') ? count : 0), 0),
      },
      rest: {
        commands: rate(({ sent }) => sent.filter(({ client }) => client.startsWith('consumer')).length),
        cpuUs: rate(({ cpuUs }) => cpuUs),
        bytes: rate(({ bytes }) => bytes),
        apiCommands: restApi.sent.filter(({ client }) => client.startsWith('api')).length / restApi.seconds,
        apiCpuUs: Math.max(0, restApi.cpuUs / restApi.seconds - restMany.cpuUs / restMany.seconds),
      },
      alone,
      busy,
      waitingBytes: (waiting - before) / STORED_JOBS,
      finishedBytes: (finished - before) / STORED_JOBS,
    };
  } finally {
    await Promise.all([few.stop(), many.stop()]);
  }
}

/** Starts what takes jobs, and waits until none is left. */
async function allEnd(queue: TestQueue, start: () => void): Promise<void> {
  start();
  const left = async () =>
    (await Promise.all(MANY.map((name) => queue.jobs.counts(name)))).some(({ waiting, active }) => waiting + active > 0);
  await until(async () => !(await left()), { what: 'the jobs to end', timeoutMs: 120_000, everyMs: 100 });
}

function serverOf(queue: TestQueue): Server {
  const [server] = mastersOf(queue.redis);
  if (server === undefined) throw new Error('expected a server');
  return server;
}

function ofConsumer(connections: ReadonlyMap<string, number>): number {
  return [...connections].reduce((total, [name, count]) => total + (name.startsWith('consumer') ? count : 0), 0);
}

/** From what was measured with one task and with several. */
function byTasks(few: number, many: number): ByTasks {
  const perTask = (many - few) / (MANY.length - ONE.length);
  return { perTask, fixed: few - perTask * ONE.length };
}

async function startApi({ server }: TestQueue) {
  const port = await freePort();
  const process = await startService('api', {
    NODE_TYPE: 'distributed_master',
    ...server.env,
    API_TLS: 'False',
    API_PORT: String(port),
    FILES_DIR: tempDir('files'),
    FILE_EXPIRATION_SECONDS: '600',
  });
  await process.waitForEvent('api.listening', { timeoutMs: 45_000 });
  const api = apiClient(`http://127.0.0.1:${port}`);
  for (const name of MANY)
    await until(async () => (await api.get(`/create/${name}`)).status === 405, { what: `${name} to be known`, timeoutMs: 20_000 });
  return api;
}

/** Each job is run, and then checked once. */
async function oneByOne(api: ReturnType<typeof apiClient>, jobs: number): Promise<void> {
  for (let turn = 0; turn < jobs; turn += 1) {
    const { id } = jobOf(await api.post(`/run/${MANY[turn % MANY.length]}`, {}));
    await api.get(`/check/${id}`);
  }
}

/** Commands whose time is that for which they wait. */
const BLOCKING = ['bzpopmin'];

/** Microseconds that Redis needs for the commands of these clients. */
export function usOf(sent: readonly Sent[]): number {
  return sent.reduce((total, { command, us }) => total + (BLOCKING.includes(command) ? 0 : us), 0);
}

/** The tables of what was measured. */
export function costTables({ connections, rest, alone, busy, waitingBytes, finishedBytes }: Costs): string {
  const { consumer } = connections;
  const line = ({ fixed, perTask }: ByTasks, digits = 1) => `${fixed.toFixed(digits)} + ${perTask.toFixed(digits)} for each task`;
  const perJob = ({ jobs, watched }: PerJob) =>
    `${(watched.sent.filter(isProduct).length / jobs).toFixed(1)} commands, ${(watched.cpuUs / jobs).toFixed(0)} µs of Redis' CPU, ${(watched.bytes / jobs).toFixed(0)} bytes on the network`;
  return [
    '| what | costs |',
    '|---|---|',
    `| a consumer process, connections | ${line(consumer, 0)} |`,
    `| an API process, connections | ${connections.api} |`,
    `| a resting consumer, commands/s | ${line(rest.commands)} |`,
    `| a resting consumer, µs of Redis' CPU per second | ${line(rest.cpuUs, 0)} |`,
    `| a resting consumer, bytes/s on the network | ${line(rest.bytes, 0)} |`,
    `| a resting API process, commands/s | ${rest.apiCommands.toFixed(1)} |`,
    `| a resting API process, µs of Redis' CPU per second | ${rest.apiCpuUs.toFixed(0)} |`,
    `| a job alone, POST /run and GET /check | ${perJob(alone)} |`,
    `| a job among many that wait, from taking it to its end | ${perJob(busy)} |`,
    `| a waiting job with 100 bytes of params, in Redis' memory | ${waitingBytes.toFixed(0)} bytes |`,
    `| the same when it has ended | ${finishedBytes.toFixed(0)} bytes |`,
    '',
    commandTable(alone, busy),
    '',
    `Keys and channels of a job's way that several tasks share: ${sharedKeys([...alone.watched.sent, ...busy.watched.sent])}.`,
  ].join('\n');
}

/** Commands of the product, not those by which this program looks on. */
function isProduct({ client }: Sent): boolean {
  return !client.startsWith('test');
}

/** The commands of a job: by whom, how often, how long. What comes less than once in ten jobs is upkeep. */
function commandTable(alone: PerJob, busy: PerJob): string {
  const rows = new Map<string, { alone: number; busy: number; us: number[] }>();
  for (const [column, { jobs, watched }] of [
    ['alone', alone],
    ['busy', busy],
  ] as const) {
    for (const { client, command, us } of watched.sent.filter(isProduct)) {
      const key = `${client.replace(/:.*/, '')} | ${command}`;
      const row = rows.get(key) ?? { alone: 0, busy: 0, us: [] };
      rows.set(key, row);
      row[column] += 1 / jobs;
      if (!BLOCKING.includes(command)) row.us.push(us);
    }
  }
  const shown = [...rows].filter(([, row]) => Math.max(row.alone, row.busy) >= 0.1).sort(([a], [b]) => a.localeCompare(b));
  return [
    '| sent by | command or script | per job alone | per job among many | µs each |',
    '|---|---|---|---|---|',
    ...shown.map(([key, row]) => {
      const mean = row.us.reduce((total, us) => total + us, 0) / row.us.length;
      return `| ${key} | ${row.alone.toFixed(2)} | ${row.busy.toFixed(2)} | ${row.us.length === 0 ? 'waits' : mean.toFixed(0)} |`;
    }),
  ].join('\n');
}

/** What belongs to no task, among the keys of commands that come with jobs: all but a resting installation's. */
function sharedKeys(sent: readonly Sent[]): string {
  const upkeep = ['beat', 'ping'];
  const keys = sent.filter((one) => isProduct(one) && !upkeep.includes(one.command)).flatMap((one) => one.keys);
  const shared = new Set(keys.filter((key) => key.startsWith('fasttask:') && !key.startsWith('fasttask:{noop_')));
  return shared.size === 0 ? 'none' : [...new Set([...shared].map((key) => key.replace(/[0-9a-f-]{36}/, '<id>')))].join(', ');
}
