/** The consumer's process: reads the configuration, loads tasks, runs until it is told to stop. */
import { hostname } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../shared/config.ts';
import { runService } from '../../shared/lifecycle.ts';
import { createLogger } from '../../shared/logger.ts';
import { connectRedis } from '../../shared/redis.ts';
import { checkRedisServer } from '../../shared/redis-server-check.ts';
import { obtainRunningId } from '../../shared/running-id.ts';
import { Consumer } from './consumer.ts';
import { joinInstallation } from './joining.ts';
import { takeSeat } from './seat.ts';
import { loadTasks } from './task-loader.ts';

/** What an earlier process of the same place may need beyond its drain deadline, in milliseconds. */
const AFTER_DRAIN_MS = 5000;

await runService('consumer', async () => {
  const config = loadConfig();
  const bootLog = createLogger(config.logLevel, { service: 'consumer' });
  // Once for the app, not for each of its processes.
  if (config.instance === 0) for (const notice of config.notices) bootLog.warn({ notice }, 'config.noticed');
  const { tasks, problems, warnings } = await loadTasks(config);
  for (const warning of warnings) bootLog.warn({ warning }, 'tasks.warned');
  for (const problem of problems) bootLog.error(problem, 'task.refused');
  if (tasks.length === 0) bootLog.warn({ tasksDir: config.dirs.tasks }, 'tasks.none_loaded');

  await joinInstallation(config.redis, bootLog);
  const redis = connectRedis(config.redis, { name: 'consumer' }, bootLog);
  await checkRedisServer(redis, bootLog);
  const runningId = await obtainRunningId(redis, config.redis.prefix, config.runs.api ? config.runningId : undefined);
  const log = createLogger(config.logLevel, { service: 'consumer', runningId });
  if (config.supervised) {
    const patienceMs = config.consumer.drainSeconds * 1000 + AFTER_DRAIN_MS;
    await takeSeat({ file: join(config.dirs.runtime, `consumer-${config.instance}.${hostname()}.seat`), patienceMs, log });
  }
  const slots = slotsOfProcess(config.consumer.concurrency, config.consumer.processes, config.instance);
  const consumer = new Consumer({ config, tasks, redis, log, slots });
  await consumer.start();
  return {
    log,
    stop: async () => {
      await consumer.stop(config.consumer.drainSeconds * 1000);
      redis.disconnect();
    },
  };
});

/** A node's slots are spread over its consumer processes, of which there are never more, as evenly as whole numbers allow. */
function slotsOfProcess(slots: number, processes: number, instance: number): number {
  return Math.floor(slots / processes) + (instance < slots % processes ? 1 : 0);
}
