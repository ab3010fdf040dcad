/**
 * How the registry forgets. A task stays as long as a consumer serves it or a job of it is left (its result included), and
 * REGISTRY_EXPIRES seconds longer. Its jobs may lie on another shard, so counting and removing are two steps: a task is first
 * retired, which takes it from the API, and forgotten when no job has come in after that.
 */
import { taskKeys } from './job-scripts.ts';
import type { Redis } from './redis.ts';
import { registryKeys, type TaskDescriptor } from './registry.ts';

/** How long a retired task is kept, in seconds: until every API process knows of it and what it was submitting has arrived. */
const SETTLE_SECONDS = 15;

/** How long the settings of a forgotten task's queue outlive it, in seconds: a consumer that comes back keeps them. */
const SETTINGS_SECONDS = 86_400;

// KEYS tasks seen · ARGV name or `name digest` of what is online now
const TOUCH = `
local now = redis.call('TIME')[1]
for _, field in ipairs(ARGV) do
  if redis.call('HEXISTS', KEYS[1], string.match(field, '^%S+')) == 1 then redis.call('HSET', KEYS[2], field, now) end
end
return tonumber(now)
`;

// KEYS tasks digests seen version retired · ARGV name channel, when it was last seen. A consumer that came meanwhile has changed that.
const RETIRE = `
if redis.call('HGET', KEYS[3], ARGV[1]) ~= ARGV[3] then return 0 end
local task = redis.call('HGET', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
if not task then return 0 end
redis.call('HSET', KEYS[5], ARGV[1], redis.call('TIME')[1] .. ' ' .. task)
redis.call('PUBLISH', ARGV[2], redis.call('INCR', KEYS[4]))
return 1
`;

// KEYS tasks digests seen version retired · ARGV name channel, what stands in retired, digest descriptor
const RESTORE = `
if redis.call('HGET', KEYS[5], ARGV[1]) ~= ARGV[3] then return 0 end
redis.call('HDEL', KEYS[5], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[5])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[4])
redis.call('HSET', KEYS[3], ARGV[1], redis.call('TIME')[1])
redis.call('PUBLISH', ARGV[2], redis.call('INCR', KEYS[4]))
return 1
`;

// KEYS retired kept · ARGV name, what stands in retired
const FORGET = `
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
return 1
`;

// KEYS digests seen · ARGV for how long a version is remembered without a consumer (s)
const PRUNE = `
local now = tonumber(redis.call('TIME')[1])
local fields = redis.call('HGETALL', KEYS[1])
local dropped = 0
for index = 1, #fields, 2 do
  local name, digest = string.match(fields[index], '^(%S+) (%S+)$')
  if name and redis.call('HGET', KEYS[1], name) ~= digest then
    local seen = tonumber(redis.call('HGET', KEYS[2], fields[index]) or fields[index + 1])
    if now - seen > tonumber(ARGV[1]) then
      redis.call('HDEL', KEYS[1], fields[index])
      redis.call('HDEL', KEYS[2], fields[index])
      dropped = dropped + 1
    end
  end
end
return dropped
`;

export interface ExpiryOptions {
  redis: Redis;
  prefix: string;
  /** REGISTRY_EXPIRES. */
  expiresSeconds: number;
  /** Every task that a consumer online serves, and every version of it, as `name` and `name digest`. */
  online: ReadonlySet<string>;
}

/** What one pass has changed, by name of the task. */
export interface ExpiryOutcome {
  /** Served no more. */
  retired: string[];
  /** Served again: a job had come in while it was being retired. */
  restored: string[];
  forgotten: string[];
}

/** Forgets what has expired. Any number of processes may do so at the same time as consumers publish. */
export async function expireTasks({ redis, prefix, expiresSeconds, online }: ExpiryOptions): Promise<ExpiryOutcome> {
  const keys = registryKeys(prefix);
  const now = Number(await redis.eval(TOUCH, 2, keys.tasks, keys.seen, ...online));
  const list = [keys.tasks, keys.digests, keys.seen, keys.version, keys.retired];
  const outcome: ExpiryOutcome = { retired: [], restored: [], forgotten: [] };
  for (const [name, since] of Object.entries(await redis.hgetall(keys.retired))) {
    const space = since.indexOf(' ');
    if (now - Number(since.slice(0, space)) < SETTLE_SECONDS) continue;
    if (await hasJobs(redis, prefix, name)) {
      const descriptor = since.slice(space + 1);
      const { digest } = JSON.parse(descriptor) as TaskDescriptor;
      const restored = await redis.eval(RESTORE, list.length, ...list, name, keys.channel, since, digest, descriptor);
      if (restored === 1) outcome.restored.push(name);
    } else if ((await redis.eval(FORGET, 2, keys.retired, keys.kept, name, since)) === 1) {
      const { meta, marker } = taskKeys(prefix, name);
      await redis.pipeline().expire(meta, SETTINGS_SECONDS).expire(marker, SETTINGS_SECONDS).exec();
      outcome.forgotten.push(name);
    }
  }
  for (const [name, seen] of Object.entries(await redis.hgetall(keys.seen))) {
    if (name.includes(' ') || now - Number(seen) <= expiresSeconds || (await hasJobs(redis, prefix, name))) continue;
    if ((await redis.eval(RETIRE, list.length, ...list, name, keys.channel, seen)) === 1) outcome.retired.push(name);
  }
  await redis.eval(PRUNE, 2, keys.digests, keys.seen, expiresSeconds);
  return outcome;
}

/** Whether any job of a task is left, ended ones with a result that is kept included. */
async function hasJobs(redis: Redis, prefix: string, task: string): Promise<boolean> {
  const { wait, active, delayed, held, completed, failed } = taskKeys(prefix, task);
  return (await redis.exists(wait, active, delayed, held, completed, failed)) > 0;
}

/** For how many seconds results of each task are kept, by name of the task: the longest time that a consumer has promised. */
export async function keptSeconds(redis: Redis, prefix: string): Promise<ReadonlyMap<string, number>> {
  const kept = await redis.hgetall(registryKeys(prefix).kept);
  return new Map(Object.entries(kept).map(([name, said]) => [name, Number(said.split(' ')[0])]));
}

/** The tasks that are being retired: they may still have jobs. */
export async function retiredTasks(redis: Redis, prefix: string): Promise<string[]> {
  return await redis.hkeys(registryKeys(prefix).retired);
}

// KEYS upkeep · ARGV process period(ms)
const LEAD = `
local leader = redis.call('GET', KEYS[1])
if leader and leader ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
`;

/** Whether this process is the one that looks after the registry; it is until it has not asked for `leaseMs`. */
export async function looksAfterRegistry(redis: Redis, prefix: string, processId: string, leaseMs: number): Promise<boolean> {
  return (await redis.eval(LEAD, 1, registryKeys(prefix).upkeep, processId, leaseMs)) === 1;
}
