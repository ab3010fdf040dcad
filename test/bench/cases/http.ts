/** Requests per second of the API beside a bare Koa over the same TLS: create, batch, check. */
import { join } from 'node:path';
import { projectDir } from '../../../shared/config.ts';
import { apiClient, jobOf } from '../../support/https.ts';
import { until } from '../../support/until.ts';
import type { Bench, Group } from '../case.ts';
import { type Ask, type Load, load } from '../load.ts';
import { inTurn } from '../measure.ts';
import { System, type Target, targetOf } from '../system.ts';
import type { Row } from '../table.ts';

/** Every installation of FastTask has it, older ones too. */
const TASK = 'get_circle_area';
const PARAMS = { radius: 5 };

const BATCH = 100;

/** Connections that send batches: with more of them jobs only stand in line before Redis. */
const BATCH_CONNECTIONS = 8;

/** Ended jobs that are checked in turn. */
const CHECKED = 200;

const asks = {
  create: { method: 'POST', path: `/create/${TASK}`, body: JSON.stringify(PARAMS) },
  batch: { method: 'POST', path: `/create/${TASK}/batch`, body: JSON.stringify(Array.from({ length: BATCH }, () => PARAMS)) },
} satisfies Record<string, Ask>;

export const http: Group = {
  cases: {
    create: 'POST /create on one API process, 32 keep-alive connections, beside bare Koa + JSON parse + queue.add over the same TLS',
    batch: `POST /create/{task}/batch with ${BATCH} a call on ${BATCH_CONNECTIONS} connections, beside addBulk(${BATCH}) behind bare Koa over the same TLS`,
    check: 'GET /check of ended jobs, beside bare Koa over the same TLS that says hello, and that reads the same jobs',
  },
  profiled: ['create', 'batch', 'check'],
  async measure(bench, wanted) {
    const system = await System.start();
    try {
      const { target, ended } = await prepare(bench, system);
      const { ready } = await system.floor<{ https: number }>('koa', System.queueOf(TASK));
      const floor: Target = { origin: `https://127.0.0.1:${ready.https}`, headers: {} };
      const rows: Row[] = [];
      if (wanted.has('create')) rows.push(...(await createRows(bench, system, target, floor)));
      if (wanted.has('batch')) rows.push(await batchRow(bench, system, target, floor));
      if (wanted.has('check')) rows.push(...(await checkRows(bench, target, floor, ended)));
      return rows;
    } finally {
      await system.stop();
    }
  },
};

/** The API that is measured, of another place or an own one, and ids of jobs that have ended there. */
async function prepare(bench: Bench, system: System): Promise<{ target: Target; ended: string[] }> {
  const { url, user } = bench.options;
  if (url !== undefined) {
    const target = targetOf(url, user);
    return { target, ended: await endedJobs(target) };
  }
  const consumer = await system.consumer({ TASKS_DIR: join(projectDir, 'tasks') });
  const target = await system.api([TASK], bench.env('create', 'batch', 'check'));
  const ended = await endedJobs(target);
  // What is created from here on waits.
  await consumer.stop();
  return { target, ended };
}

async function endedJobs({ origin, headers }: Target): Promise<string[]> {
  const api = apiClient(origin);
  const options = { headers: { ...headers } };
  return await Promise.all(
    Array.from({ length: CHECKED }, async () => {
      const { id } = jobOf(await api.post(`/create/${TASK}`, PARAMS, options));
      const path = `/check/${TASK}?result_id=${id}`;
      await until(async () => jobOf(await api.get(path, options)).state === 'SUCCESS', {
        what: `${id} to end`,
        timeoutMs: 30_000,
        everyMs: 200,
      });
      return id;
    }),
  );
}

/** One side of a round: how many requests of this kind were answered in a second. What was created is removed again. */
function sending(bench: Bench, system: System, name: string, target: Target, wish: Load, base: string) {
  return async () => {
    const { perSecond } = await bench.loading(name, target.process, () => load(target, wish));
    await system.dropWaiting(base);
    return perSecond;
  };
}

async function createRows(bench: Bench, system: System, target: Target, floor: Target): Promise<Row[]> {
  const at = (path: string): Load => ({ asks: [{ ...asks.create, path }] });
  const measured = await inTurn(bench.rounds, {
    ours: sending(bench, system, 'create', target, { asks: [asks.create] }, System.base(TASK)),
    bare: sending(bench, system, '', floor, at('/add'), 'bull:floor:'),
    lean: sending(bench, system, '', floor, at('/lean'), 'bull:lean:'),
  });
  const { ours, bare, lean } = measured;
  const row = { case: 'create', what: 'POST /create', unit: 'requests/s', ours };
  return [
    { ...row, floor: { what: 'Koa + queue.add', values: bare }, bar: { of: 'ratio', at: 'least', value: 0.9 } },
    { ...row, floor: { what: 'the same, no events stream', values: lean } },
  ];
}

async function batchRow(bench: Bench, system: System, target: Target, floor: Target): Promise<Row> {
  const of = (ask: Ask): Load => ({ asks: [ask], connections: BATCH_CONNECTIONS });
  const { ours, bare } = await inTurn(bench.rounds, {
    ours: sending(bench, system, 'batch', target, of(asks.batch), System.base(TASK)),
    bare: sending(bench, system, '', floor, of({ ...asks.batch, path: '/batch' }), 'bull:floor:'),
  });
  const jobs = (values: number[]) => values.map((value) => value * BATCH);
  return {
    case: 'batch',
    what: `POST /create/{task}/batch, ${BATCH} a call`,
    unit: 'jobs/s',
    ours: jobs(ours),
    floor: { what: `Koa + addBulk(${BATCH})`, values: jobs(bare) },
    bar: { of: 'ratio', at: 'least', value: 0.8 },
  };
}

async function checkRows(bench: Bench, target: Target, floor: Target, ended: readonly string[]): Promise<Row[]> {
  const each = (path: (id: string) => string): Load => ({ asks: ended.map((id) => ({ method: 'GET', path: path(id) })) });
  const senderCores: number[] = [];
  const bare = (wish: Load) => async () => {
    const { perSecond, senderCores: cores } = await load(floor, wish);
    senderCores.push(cores);
    return perSecond;
  };
  const checks = each((id) => `/check/${TASK}?result_id=${id}`);
  const sides: Record<string, () => Promise<number>> = {
    ours: async () => (await bench.loading('check', target.process, () => load(target, checks))).perSecond,
    hello: bare({ asks: [{ method: 'GET', path: '/' }] }),
    // Jobs of another place lie in another Redis.
    ...(bench.options.url === undefined && { hash: bare(each((id) => `/hash/${id}`)), job: bare(each((id) => `/job/${id}`)) }),
  };
  const { ours = [], hello = [], hash, job } = await inTurn(bench.rounds, sides);
  const row = { case: 'check', what: 'GET /check', unit: 'requests/s', ours };
  return [
    {
      ...row,
      floor: { what: 'Koa hello', values: hello },
      bar: { of: 'ratio', at: 'least', value: 0.7 },
      note: `the sender of requests used at most ${Math.max(...senderCores).toFixed(2)} of a core for a bare Koa`,
    },
    ...(hash ? [{ ...row, floor: { what: 'Koa + one HMGET', values: hash } }] : []),
    ...(job ? [{ ...row, floor: { what: 'Koa + getJob + getState', values: job } }] : []),
  ];
}
