/** What installations of several sizes need, computed from what one of everything costs. */
import { usOf } from './redis-watch.ts';
import { type ByTasks, type Costs, overheadUs, type Rest } from './scale-costs.ts';

const WORKERS = [10, 100, 1000];

/** What is assumed of an installation. */
const TASKS = 10;
const apisFor = (workers: number) => Math.max(2, workers / 25);

/** Up to this share of one core Redis answers without a queue of its own. */
const ROOM = 0.7;

const DAY_SECONDS = 86_400;

/** One column for each size; every row says by which formula. */
export function sizingTable({ connections, rest, busy, alone, waitingBytes, finishedBytes }: Costs): string {
  const of = ({ fixed, perTask }: ByTasks) => fixed + perTask * TASKS;
  // A job is created and read one by one, and taken among many.
  const created = alone.watched.sent.filter(({ client }) => client.startsWith('api'));
  const jobUs = (busy.watched.cpuUs + (busy.jobs / alone.jobs) * (usOf(created) + created.length * overheadUs(busy))) / busy.jobs;
  const atRest = (what: keyof Rest<number>, workers: number) =>
    workers * of(rest.consumer[what]) + TASKS * rest.care[what] + apisFor(workers) * rest.api[what];
  const restUs = (workers: number) => atRest('us', workers) + atRest('commands', workers) * overheadUs(busy);
  const room = (workers: number) => Math.max(0, ROOM * 1e6 - restUs(workers)) / jobUs;
  const rows: [name: string, value: (workers: number) => string][] = [
    ['API processes', (workers) => String(apisFor(workers))],
    ['connections', (workers) => whole(workers * of(connections.consumer) + apisFor(workers) * connections.api)],
    ['Redis commands/s at rest', (workers) => whole(atRest('commands', workers))],
    ["Redis' CPU at rest, % of a core", (workers) => (restUs(workers) / 1e4).toFixed(1)],
    ['network at rest, MB/s', (workers) => (atRest('bytes', workers) / 1e6).toFixed(2)],
    ['jobs/s for which one Redis has room', (workers) => whole(room(workers))],
    ['the same for each worker', (workers) => (room(workers) / workers).toFixed(1)],
    ['memory for 1,000 waiting jobs of each worker, MB', (workers) => whole((workers * 1000 * waitingBytes) / 1e6)],
    [
      'memory for the results of a day, a job a second of each worker, GB',
      (workers) => ((workers * DAY_SECONDS * finishedBytes) / 1e9).toFixed(1),
    ],
  ];
  return [
    `Of one consumer process and ${TASKS} tasks each; a job costs ${jobUs.toFixed(0)} µs of Redis' CPU.`,
    '',
    `| workers | ${WORKERS.map(whole).join(' | ')} |`,
    `|---|${WORKERS.map(() => '---|').join('')}`,
    ...rows.map(([name, value]) => `| ${name} | ${WORKERS.map(value).join(' | ')} |`),
  ].join('\n');
}

function whole(value: number): string {
  return Math.round(value).toLocaleString('en');
}
