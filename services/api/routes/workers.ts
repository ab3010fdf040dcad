import { onlineConsumers } from '../../../shared/presence.ts';
import { answering } from '../../../shared/redis.ts';
import type { Backend } from '../backend.ts';
import { knowsTask } from '../caller.ts';
import { conflictsOf } from '../conflicts.ts';
import { answerJson, type Route } from '../route.ts';
import { eachTask, tasksOf, uptimeSeconds } from '../visible-consumers.ts';

/** `GET /workers`: who works, and how much waits: the signal to scale by. Its cost does not grow with the jobs that wait. */
export function workersRoute(backend: Backend): Route {
  const { config, redis, registry } = backend;
  return {
    method: 'GET',
    path: '/workers',
    head: true,
    async handle(ctx) {
      const { jobs } = backend;
      const { caller } = ctx.state;
      const online = await answering(redis, () => onlineConsumers(redis, config.redis.prefix));
      const consumers = online.map((consumer) => ({ ...consumer, ...tasksOf(consumer, caller), busy: consumer.active.length }));
      const tasks = [...registry.tasks.values()].filter(({ name }) => knowsTask(caller, name));
      const now = Date.now();
      const counted = await eachTask(
        tasks.map(({ name }) => name),
        async (name) => {
          const [{ waiting, delayed, held, active }, since] = await Promise.all([jobs.counts(name), jobs.oldestWaiting(name)]);
          // Between the two answers the last waiting job may have been taken.
          const oldestAgeSeconds = waiting === 0 || since === undefined ? 0 : Math.max(0, Math.round((now - since) / 1000));
          const workers = consumers.filter((consumer) => consumer.tasks.includes(name) && !consumer.draining).length;
          return { task: name, waiting, delayed, held, active, oldestAgeSeconds, workers };
        },
      );
      const taking = consumers.filter(({ draining }) => !draining);
      const sum = (numbers: readonly number[]) => numbers.reduce((all, number) => all + number, 0);
      answerJson(
        ctx,
        JSON.stringify({
          totals: {
            workers: taking.length,
            slots: sum(taking.map(({ concurrency }) => concurrency)),
            busySlots: sum(taking.map(({ busy }) => busy)),
            waiting: sum(counted.map(({ waiting }) => waiting)),
            oldestAgeSeconds: Math.max(0, ...counted.map(({ oldestAgeSeconds }) => oldestAgeSeconds)),
          },
          tasks: Object.fromEntries(counted.map(({ task, ...numbers }) => [task, numbers])),
          workers: consumers.map((consumer) => ({
            name: consumer.name,
            tag: consumer.tag,
            host: consumer.host,
            version: consumer.version,
            slots: consumer.concurrency,
            busy: consumer.busy,
            draining: consumer.draining,
            tasks: consumer.tasks,
            uptimeSeconds: uptimeSeconds(consumer),
            lastSeen: new Date(consumer.seenAt).toISOString(),
          })),
          conflicts: conflictsOf(consumers, tasks),
        }),
      );
    },
  };
}
