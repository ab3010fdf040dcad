/** What a job, a resting consumer and a resting API process cost Redis. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Redis as Server } from 'ioredis';
import { mastersOf } from '../../shared/redis.ts';
import { apiClient, jobOf } from '../support/https.ts';
import { freePort } from '../support/ports.ts';
import { startService, type TestProcess } from '../support/processes.ts';
import { TestQueue } from '../support/queue.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';
import { connectionsByClient, isProduct, usedMemory, usOf, type Watched, watch } from './redis-watch.ts';
import { noopTasks, SPREAD_NAMES } from './scale-tasks.ts';
import { QUIET, submit } from './scale-throughput.ts';

/** Something of a consumer that has a part for itself and a part for each of its tasks. */
export interface ByTasks {
  fixed: number;
  perTask: number;
}

/** What somebody who rests costs in a second. Commands are those that clients send: what a script calls is part of it. */
export interface Rest<T> {
  commands: T;
  /** Microseconds of Redis inside these. */
  us: T;
  bytes: T;
}

export interface Costs {
  connections: { consumer: ByTasks; api: number };
  /** A consumer that looks after no task; what looking after a task adds, once in an installation; an API process. */
  rest: { consumer: Rest<ByTasks>; care: Rest<number>; api: Rest<number> };
  /** Of one job: one after the other through the API, and of many that wait for a consumer of several tasks. */
  alone: PerJob;
  busy: PerJob;
  waitingBytes: number;
  finishedBytes: number;
}

export interface PerJob {
  jobs: number;
  watched: Watched;
}

const MANY = SPREAD_NAMES;
const ONE = SPREAD_NAMES.slice(0, 1);
const ALONE_JOBS = 200;
const BUSY_JOBS = 3000;
const STORED_JOBS = 10_000;

/** What a process does once, when it starts, does not count. */
const SETTLE_MS = 5000;

/** 100 bytes of params as JSON. */
const PARAMS = { text: 'x'.repeat(89) };

/** What the embedded server has, too. */
const SERVER = { kind: 'server', args: ['hash-max-ziplist-value 1024'] } as const;

/** @param seconds for how long a resting installation is watched */
export async function measureCosts(seconds: number): Promise<Costs> {
  const [few, many] = [await TestQueue.start(SERVER), await TestQueue.start(SERVER)];
  try {
    const server = serverOf(many);
    const resting = async (queue: TestQueue) => restOf(await watch(serverOf(queue), () => pause(seconds * 1000)));
    const empty = await resting(many);
    const [ofFew, ofMany] = await Promise.all([consumersOf(few, ONE, () => resting(few)), consumersOf(many, MANY, () => resting(many))]);
    await ofMany.second.kill9();
    const api = await startApi(many);
    await pause(SETTLE_MS);
    const ofApi = await watch(server, () => pause(seconds * 1000));
    const connections = await connectionsByClient(server);
    return {
      connections: {
        consumer: byTasks(ofClient(await connectionsByClient(serverOf(few)), 'consumer') / 2, ofClient(connections, 'consumer')),
        api: ofClient(connections, 'api'),
      },
      rest: {
        consumer: each((what) => byTasks(ofFew.two[what] - ofFew.one[what], ofMany.two[what] - ofMany.one[what])),
        care: each((what) => (2 * ofMany.one[what] - ofMany.two[what] - empty[what]) / MANY.length),
        api: {
          ...restOf({ ...ofApi, sent: ofApi.sent.filter(({ client }) => client.startsWith('api')) }),
          bytes: Math.max(0, restOf(ofApi).bytes - ofMany.one.bytes),
        },
      },
      ...(await jobsOf(many, ofMany.first, api)),
    };
  } finally {
    await Promise.all([few.stop(), many.stop()]);
  }
}

/** Microseconds of Redis' CPU that a command costs beside its own time, where there are many: reading it, and writing the answer. */
export function overheadUs({ watched: { sent, cpuUs } }: PerJob): number {
  return (cpuUs - usOf(sent)) / sent.length;
}

/** Starts two consumers, one after the other: the first looks after the tasks. */
async function consumersOf(queue: TestQueue, tasks: readonly string[], resting: () => Promise<Rest<number>>) {
  const env = { ...QUIET, TASKS_DIR: noopTasks(tasks) };
  const first = await queue.consumer(env);
  await pause(SETTLE_MS);
  const one = await resting();
  const second = await queue.consumer(env);
  await pause(SETTLE_MS);
  return { first, one, second, two: await resting() };
}

function restOf({ sent, seconds, bytes }: Watched): Rest<number> {
  const ofProduct = sent.filter(isProduct);
  return { commands: ofProduct.length / seconds, us: usOf(ofProduct) / seconds, bytes: bytes / seconds };
}

function each<T>(value: (what: keyof Rest<number>) => T): Rest<T> {
  return { commands: value('commands'), us: value('us'), bytes: value('bytes') };
}

/** What jobs cost: one by one, many that wait, and as long as they are kept. Ends the consumer. */
async function jobsOf(queue: TestQueue, consumer: TestProcess, api: ReturnType<typeof apiClient>) {
  const server = serverOf(queue);
  // The consumer is warm then, and this connection knows BullMQ's scripts by name.
  await submit(queue, BUSY_JOBS);
  await allEnd(queue, () => {});
  const alone = { jobs: ALONE_JOBS, watched: await watch(server, () => oneByOne(api, ALONE_JOBS)) };
  consumer.signal('SIGSTOP');
  await submit(queue, BUSY_JOBS);
  const busy = { jobs: BUSY_JOBS, watched: await watch(server, () => allEnd(queue, () => consumer.signal('SIGCONT'))) };
  await consumer.kill9();
  const empty = await usedMemory(server);
  await submit(queue, STORED_JOBS, PARAMS, ONE);
  const waiting = await usedMemory(server);
  await queue.consumer({ ...QUIET, TASKS_DIR: noopTasks(ONE) });
  await allEnd(queue, () => {});
  const finished = await usedMemory(server);
  return { alone, busy, waitingBytes: (waiting - empty) / STORED_JOBS, finishedBytes: (finished - empty) / STORED_JOBS };
}

/** Starts what takes jobs, and waits until none is left. It asks seldom: what it asks is part of Redis' CPU and bytes. */
async function allEnd(queue: TestQueue, start: () => void): Promise<void> {
  start();
  const left = async () =>
    (await Promise.all(MANY.map((name) => queue.jobs.counts(name)))).some(({ waiting, active }) => waiting + active > 0);
  await until(async () => !(await left()), { what: 'the jobs to end', timeoutMs: 120_000, everyMs: 500 });
}

function serverOf(queue: TestQueue): Server {
  const [server] = mastersOf(queue.redis);
  if (server === undefined) throw new Error('expected a server');
  return server;
}

function ofClient(connections: ReadonlyMap<string, number>, client: string): number {
  return [...connections].reduce((total, [name, count]) => total + (name.startsWith(client) ? count : 0), 0);
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
