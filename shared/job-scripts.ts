/**
 * The two Lua scripts that BullMQ has no command for. Both are of constant cost (the active list is as short as there are
 * slots) and touch one task's keys only, so they stay in one slot of a Redis Cluster.
 */
import type { Redis } from './redis.ts';
import { REVOKED_RUNNING, REVOKED_WAITING } from './job-state.ts';

/** The keys of one task's queue. `{task}` is a hash tag: all of a task's keys lie on one shard. */
export function taskKeys(prefix: string, task: string) {
  const base = `${prefix}:{${task}}:`;
  return {
    base,
    job: (id: string) => base + id,
    wait: `${base}wait`,
    active: `${base}active`,
    delayed: `${base}delayed`,
    failed: `${base}failed`,
    completed: `${base}completed`,
    stalled: `${base}stalled`,
    meta: `${base}meta`,
    marker: `${base}marker`,
    /** Sorted set of revoked jobs by the time of their end (they stand in `failed` too, so failures = failed − revoked). */
    revoked: `${base}revoked`,
    /** Set of jobs that were revoked while waiting and not yet dropped from the list. */
    marked: `${base}marked`,
  };
}

/** The channel on which every effective revoke is told: consumers end the job, API processes wake who waits for it. */
export function revokeChannel(prefix: string): string {
  return `${prefix}:revokes`;
}

// Ends an active or delayed job as revoked. Its lock goes with it, so whatever its owner still writes is refused by BullMQ.
const END_REVOKED = `
local function end_revoked(job, id, now, reason)
  redis.call('DEL', KEYS[2])
  redis.call('SREM', KEYS[4], id)
  redis.call('SREM', KEYS[8], id)
  redis.call('HSET', job, 'finishedOn', now, 'failedReason', reason)
  redis.call('HDEL', job, 'defa', 'returnvalue')
  redis.call('ZADD', KEYS[6], now, id)
  redis.call('ZADD', KEYS[7], now, id)
end
`;

// KEYS job lock active stalled delayed failed revoked marked · ARGV id now channel
const REVOKE = `${END_REVOKED}
local job, id, now = KEYS[1], ARGV[1], ARGV[2]
local found = redis.call('HMGET', job, 'timestamp', 'finishedOn', 'defa', 'atm')
if not found[1] then return 'unknown' end
if found[2] then return 'ended' end
if found[3] == '${REVOKED_WAITING}' then return 'repeated' end
local outcome = 'waiting'
if redis.call('EXISTS', KEYS[2]) == 1 and redis.call('LREM', KEYS[3], 1, id) > 0 then
  outcome = 'started'
  end_revoked(job, id, now, '${REVOKED_RUNNING}')
elseif redis.call('ZREM', KEYS[5], id) > 0 then
  outcome = 'retrying'
  end_revoked(job, id, now, '${REVOKED_WAITING}')
else
  if tonumber(found[4] or '0') > 0 then outcome = 'retrying' end
  redis.call('HSET', job, 'defa', '${REVOKED_WAITING}')
  redis.call('SADD', KEYS[8], id)
end
redis.call('PUBLISH', ARGV[3], id)
return outcome
`;

// KEYS as above · ARGV id now token
const DROP_REVOKED = `${END_REVOKED}
if redis.call('GET', KEYS[2]) ~= ARGV[3] then return 0 end
if redis.call('LREM', KEYS[3], 1, ARGV[1]) == 0 then return 0 end
end_revoked(KEYS[1], ARGV[1], ARGV[2], '${REVOKED_WAITING}')
return 1
`;

export type RevokeOutcome = 'unknown' | 'ended' | 'repeated' | 'waiting' | 'started' | 'retrying';

/** Marks a job as revoked; from this moment it is. A waiting one keeps its place in the list and is dropped when fetched. */
export async function revokeJob(redis: Redis, prefix: string, task: string, id: string): Promise<RevokeOutcome> {
  const keys = scriptKeys(prefix, task, id);
  return (await redis.eval(REVOKE, keys.length, ...keys, id, Date.now(), revokeChannel(prefix))) as RevokeOutcome;
}

/** Ends a fetched job that carries the mark. False when the caller's lock is gone: another consumer has it then. */
export async function dropRevokedJob(redis: Redis, prefix: string, task: string, id: string, token: string): Promise<boolean> {
  const keys = scriptKeys(prefix, task, id);
  return (await redis.eval(DROP_REVOKED, keys.length, ...keys, id, Date.now(), token)) === 1;
}

function scriptKeys(prefix: string, task: string, id: string): string[] {
  const keys = taskKeys(prefix, task);
  return [keys.job(id), `${keys.job(id)}:lock`, keys.active, keys.stalled, keys.delayed, keys.failed, keys.revoked, keys.marked];
}
