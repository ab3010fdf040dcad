import type { EndedCounts, TaskCounts } from '../../../shared/jobs.ts';
import { type ConsumerStatus, onlineConsumers } from '../../../shared/presence.ts';
import { answering } from '../../../shared/redis.ts';
import type { Backend } from '../backend.ts';
import { knowsTask } from '../caller.ts';
import { type Conflict, conflictsOf } from '../conflicts.ts';
import { askedFields } from '../request-schemas.ts';
import { answerJson, type Route } from '../route.ts';
import { eachTask, uptimeSeconds, visibleTo } from '../visible-consumers.ts';

/** The windows of time in which ended jobs are counted. */
const windows = [
  { name: '1_minute', seconds: 60 },
  { name: '15_minute', seconds: 900 },
  { name: '1_hour', seconds: 3600 },
  { name: '1_day', seconds: 86_400 },
] as const;
const windowSeconds = windows.map(({ seconds }) => seconds);

/** `POST /status_info`: consumers and counts. What was not asked for is `{}`. */
export function statusInfoRoute(backend: Backend): Route {
  const { config, redis, registry } = backend;
  return {
    method: 'POST',
    path: '/status_info',
    body: true,
    async handle(ctx) {
      const asked = askedFields(ctx.state.body);
      const { jobs } = backend;
      const { caller } = ctx.state;
      const names = [...registry.tasks.keys()].filter((name) => knowsTask(caller, name));
      const online = asked.has('worker_status') ? await answering(redis, () => onlineConsumers(redis, config.redis.prefix)) : undefined;
      const consumers = online && (await visibleTo(caller, online, jobs));
      const tasks = names.flatMap((name) => registry.tasks.get(name) ?? []);
      const isCounted = asked.has('pending_task_count') || asked.has('task_info');
      const counts = await eachTask(isCounted ? names : [], (name) => jobs.counts(name));
      const ended = await eachTask(asked.has('task_info') ? names : [], (name) => jobs.ended(name, windowSeconds));
      const infos = names.map((_, index) => ({ counts: counts[index], ended: ended[index] }));
      answerJson(
        ctx,
        JSON.stringify({
          running_id: jobs.runningId,
          username: caller.name,
          worker_status: consumers === undefined ? {} : workerStatus(consumers, conflictsOf(consumers, tasks)),
          task_info_total: asked.has('task_info') ? taskInfo(total(infos)) : {},
          pending_task_count: asked.has('pending_task_count')
            ? Object.fromEntries(names.map((name, index) => [name, counts[index]?.waiting ?? 0]))
            : {},
          ...Object.fromEntries(
            names.map((name, index) => [`task_info_${name}`, asked.has('task_info') ? taskInfo(total(infos.slice(index, index + 1))) : {}]),
          ),
        }),
      );
    },
  };
}

function workerStatus(consumers: readonly ConsumerStatus[], conflicts: readonly Conflict[]) {
  const details = consumers.map((consumer) => [
    consumer.name,
    {
      active_tasks: consumer.active,
      reserved_tasks: [],
      scheduled_tasks: [],
      total: consumer.done,
      uptime: uptimeSeconds(consumer),
      'pool.max-concurrency': consumer.concurrency,
      prefetch_count: consumer.concurrency,
      'rusage.maxrss': consumer.maxRss,
    },
  ]);
  return {
    online_worker_count: consumers.length,
    online_workers_list: consumers.map(({ name }) => name),
    worker_details: Object.fromEntries(details),
    conflicts,
  };
}

interface TaskNumbers {
  counts: TaskCounts | undefined;
  ended: EndedCounts[] | undefined;
}

interface Totals {
  states: Record<string, number>;
  ended: EndedCounts[];
}

function total(tasks: readonly TaskNumbers[]): Totals {
  const sum = (of: (counts: TaskCounts) => number) => tasks.reduce((all, { counts }) => all + (counts === undefined ? 0 : of(counts)), 0);
  const within = (index: number, of: (ended: EndedCounts) => number) =>
    tasks.reduce((all, { ended }) => all + (ended?.[index] === undefined ? 0 : of(ended[index])), 0);
  return {
    states: {
      PENDING: sum(({ waiting }) => waiting),
      STARTED: sum(({ active }) => active),
      RETRY: sum(({ delayed, held }) => delayed + held),
      SUCCESS: sum(({ succeeded }) => succeeded),
      FAILURE: sum(({ failed }) => failed),
      REVOKED: sum(({ revoked }) => revoked),
    },
    ended: windows.map((_, index) => ({
      succeeded: within(index, (ended) => ended.succeeded),
      failed: within(index, (ended) => ended.failed),
    })),
  };
}

function taskInfo({ states, ended }: Totals) {
  const completed: Record<string, number> = {};
  const rates: Record<string, number> = {};
  for (const [outcome, of] of [
    ['success', 'succeeded'],
    ['failure', 'failed'],
  ] as const) {
    for (const [index, { name, seconds }] of windows.entries()) {
      const count = ended[index]?.[of] ?? 0;
      completed[`${outcome}_in_${name}`] = count;
      rates[`${outcome}_in_${name}`] = Math.round((count / seconds) * 100) / 100;
    }
  }
  return { status_to_amount: states, completed_counts: completed, throughput_rates_per_second: rates };
}
