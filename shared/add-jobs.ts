/**
 * Puts jobs into a task's queue as BullMQ stores them, many with one script: BullMQ's own takes one job a time and costs Redis
 * and this process most of what a submission costs. What differs is what nobody reads: no counter of ids, no events stream.
 * test/integration/stored-jobs.test.ts compares both, field by field.
 */
import { taskKeys, WAKE } from './job-scripts.ts';
import type { Redis } from './redis.ts';
import type { TaskDescriptor } from './registry.ts';
import { script } from './script.ts';

/** A job on its way into the queue. */
export interface NewJob {
  /** Letters, digits, `-` and `_`. */
  id: string;
  /** Its name for BullMQ. */
  name: string;
  /** JSON text. */
  data: string;
}

// KEYS wait, active, meta, marker · ARGV base, time, options without an id and without their end; then id, name and data of each job.
// An id that is there already is one that was sent again, because the connection was lost before its answer came.
const ADD = script(
  'add-jobs',
  `${WAKE}
local base, time, options = ARGV[1], ARGV[2], ARGV[3]
local added = {}
for at = 4, #ARGV, 3 do
  local id = ARGV[at]
  local job = base .. id
  if redis.call('EXISTS', job) == 0 then
    redis.call('HSET', job, 'name', ARGV[at + 1], 'data', ARGV[at + 2], 'opts', options .. ',"jobId":"' .. id .. '"}',
      'timestamp', time, 'delay', 0, 'priority', 0)
    added[#added + 1] = id
  end
end
-- Lua hands no more than some thousand arguments over at once.
for at = 1, #added, 1000 do redis.call('LPUSH', KEYS[1], unpack(added, at, math.min(at + 999, #added))) end
wake(KEYS[3], KEYS[2], KEYS[4])
`,
);

/** The part of the options that all jobs of a task share: how often they are tried, and when again. */
function sharedOptions({ retries, backoff = { type: 'exponential', delaySeconds: 1 } }: TaskDescriptor): string {
  const { type, delaySeconds, jitter } = backoff;
  const options = retries ? { attempts: retries + 1, backoff: { type, delay: delaySeconds * 1000, jitter } } : { attempts: 0 };
  return JSON.stringify(options).slice(0, -1);
}

/** Adds jobs at the end of a task's queue, in their order: all of them or none. */
export async function addJobs(redis: Redis, prefix: string, task: TaskDescriptor, jobs: readonly NewJob[]): Promise<void> {
  const { wait, active, meta, marker, base } = taskKeys(prefix, task.name);
  const fields: (string | number)[] = [base, Date.now(), sharedOptions(task)];
  for (const { id, name, data } of jobs) fields.push(id, name, data);
  await ADD(redis, [wait, active, meta, marker], fields);
}
