/**
 * The Lua scripts that BullMQ has no command for: revoke, and places for keyed concurrency. Each is of constant cost (the active
 * list is as short as there are slots) and touches one task's keys only, so it stays in one slot of a Redis Cluster.
 *
 * Keyed concurrency: `places:<key>` holds the jobs that run, by the time at which their lease ends; `line:<key>` holds those that
 * want to, in order of submission; `held` holds those of the line that left the queue until a place is free.
 */
import { REVOKED_RUNNING, REVOKED_WAITING } from './job-state.ts';
import type { Redis } from './redis.ts';
import { type Script, script } from './script.ts';

/** The keys of one task's queue. `{task}` is a hash tag: all of a task's keys lie on one shard. */
export function taskKeys(prefix: string, task: string) {
  const base = `${prefix}:{${task}}:`;
  return {
    base,
    job: (id: string) => base + id,
    logs: (id: string) => `${base}${id}:logs`,
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
    /** Sorted set of jobs that wait for a place, outside the queue. */
    held: `${base}held`,
    /** Sorted set of concurrency keys by the time at which their line is looked at again. */
    looks: `${base}looks`,
    /** Name of the consumer that looks after the task, for as long as its lease lasts. */
    caretaker: `${base}caretaker`,
  };
}

/** The channel on which every effective revoke is told: consumers end the job, API processes wake who waits for it. */
export function revokeChannel(prefix: string): string {
  return `${prefix}:revokes`;
}

/** Lua: `wake(meta, active, marker)` wakes a consumer, unless the queue is paused or as many of the task run as may. */
export const WAKE = `
local function wake(meta, active, marker)
  local limits = redis.call('HMGET', meta, 'paused', 'concurrency')
  local full = limits[2] and redis.call('LLEN', active) >= tonumber(limits[2])
  if not limits[1] and not full then redis.call('ZADD', marker, 0, '0') end
end
`;

// Every script's KEYS: 1 job 2 lock 3 active 4 stalled 5 delayed 6 failed 7 revoked 8 marked 9 held 10 wait 11 marker 12 looks;
// ARGV: 1 id 2 base 3 now (ms).
const PRELUDE = `
local job, id, base, now = KEYS[1], ARGV[1], ARGV[2], ARGV[3]

-- Takes a job out of the line of its concurrency key, if it has one.
local function leave_line()
  local key = redis.call('HGET', job, 'ck')
  redis.call('ZREM', KEYS[9], id)
  if key then redis.call('ZREM', base .. 'line:' .. key, id) end
  return key
end

-- Ends a job as revoked. Its lock goes with it, so whatever its owner still writes is refused by BullMQ.
local function end_revoked(reason)
  redis.call('DEL', KEYS[2])
  redis.call('SREM', KEYS[4], id)
  redis.call('SREM', KEYS[8], id)
  redis.call('HSET', job, 'finishedOn', now, 'failedReason', reason)
  redis.call('HDEL', job, 'defa', 'returnvalue', 'held')
  redis.call('ZADD', KEYS[6], now, id)
  redis.call('ZADD', KEYS[7], now, id)
end

-- Puts as many jobs of a line back to the head of the queue as there are places, in order.
local function promote(key)
  local places, line = base .. 'places:' .. key, base .. 'line:' .. key
  local time = redis.call('TIME')
  redis.call('ZREMRANGEBYSCORE', places, '-inf', time[1] * 1000 + math.floor(time[2] / 1000))
  local taken = redis.call('ZCARD', places)
  local ready = {}
  for _, other in ipairs(redis.call('ZRANGE', line, 0, 99)) do
    local fields = redis.call('HMGET', base .. other, 'cm', 'finishedOn')
    if not fields[1] or fields[2] then
      -- It has ended where nobody could take it out of the line: it must not stand in the way for ever.
      redis.call('ZREM', line, other)
      redis.call('ZREM', KEYS[9], other)
    else
      taken = taken + 1
      if taken > tonumber(fields[1]) then break end
      if redis.call('ZREM', KEYS[9], other) == 1 then
        redis.call('HDEL', base .. other, 'held')
        ready[#ready + 1] = other
      end
    end
  end
  for index = #ready, 1, -1 do redis.call('RPUSH', KEYS[10], ready[index]) end
  if #ready > 0 then redis.call('ZADD', KEYS[11], 0, '0') end
  -- As long as somebody runs or waits, the key is looked at again: the owner of a place may have died with nobody behind it.
  if redis.call('EXISTS', line, places) == 0 then redis.call('ZREM', KEYS[12], key) end
end
`;

// ARGV: 4 channel
const REVOKE = script(
  'revoke',
  `${PRELUDE}
local found = redis.call('HMGET', job, 'timestamp', 'finishedOn', 'defa', 'atm')
if not found[1] then return 'unknown' end
if found[2] then return 'ended' end
if found[3] == '${REVOKED_WAITING}' then return 'repeated' end
local outcome = 'waiting'
if redis.call('LREM', KEYS[3], 1, id) > 0 then
  outcome = 'started'
  -- Its place stays until its owner has ended it, or its lease.
  local key = leave_line()
  end_revoked('${REVOKED_RUNNING}')
  if key then promote(key) end
elseif redis.call('ZREM', KEYS[5], id) > 0 or redis.call('ZREM', KEYS[9], id) > 0 then
  outcome = 'retrying'
  local key = leave_line()
  end_revoked('${REVOKED_WAITING}')
  if key then promote(key) end
else
  if tonumber(found[4] or '0') > 0 then outcome = 'retrying' end
  redis.call('HSET', job, 'defa', '${REVOKED_WAITING}')
  redis.call('SADD', KEYS[8], id)
end
redis.call('PUBLISH', ARGV[4], id)
return outcome
`,
);

// ARGV: 4 token
const DROP_REVOKED = script(
  'drop-revoked',
  `${PRELUDE}
if redis.call('GET', KEYS[2]) ~= ARGV[4] then return 0 end
if redis.call('LREM', KEYS[3], 1, id) == 0 then return 0 end
local key = leave_line()
end_revoked('${REVOKED_WAITING}')
if key then promote(key) end
return 1
`,
);

// ARGV: 4 token 5 key 6 max 7 lease (ms) 8 countdown (ms) 9 order
const TAKE_PLACE = script(
  'take-place',
  `${PRELUDE}
local key = ARGV[5]
local places, line = base .. 'places:' .. key, base .. 'line:' .. key
local time = redis.call('TIME')
local clock = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', places, '-inf', clock)
if redis.call('GET', KEYS[2]) ~= ARGV[4] then return 'refused' end
if redis.call('ZSCORE', places, id) then
  redis.call('ZADD', places, clock + ARGV[7], id)
  return 'taken'
end
redis.call('HSET', job, 'ck', key, 'cm', ARGV[6])
redis.call('ZADD', line, 'NX', ARGV[9], id)
if redis.call('ZRANK', line, id) + redis.call('ZCARD', places) < tonumber(ARGV[6]) then
  redis.call('ZREM', line, id)
  redis.call('ZADD', places, clock + ARGV[7], id)
  redis.call('ZADD', KEYS[12], 'NX', clock + ARGV[7], key)
  return 'taken'
end
redis.call('LREM', KEYS[3], 1, id)
redis.call('DEL', KEYS[2])
redis.call('SREM', KEYS[4], id)
redis.call('HSET', job, 'held', 1)
redis.call('HINCRBY', job, 'ats', -1)
redis.call('ZADD', KEYS[9], ARGV[9], id)
redis.call('ZADD', KEYS[12], 'NX', clock + ARGV[8], key)
-- A place may have become free, or a lease may have ended, with nobody at the head of the line.
promote(key)
return 'held'
`,
);

// ARGV: 4 key 5 token. A job that somebody else runs by now, or that is held again, keeps what it has.
const GIVE_PLACE_BACK = script(
  'give-place-back',
  `${PRELUDE}
local lock = redis.call('GET', KEYS[2])
if (lock and lock ~= ARGV[5]) or redis.call('ZSCORE', KEYS[9], id) then return 0 end
redis.call('ZREM', base .. 'places:' .. ARGV[4], id)
redis.call('ZREM', base .. 'line:' .. ARGV[4], id)
promote(ARGV[4])
return 1
`,
);

// ARGV: 4 name 5 lease (ms) 6 pause (ms) until the next look at a line 7 key of the lease
const LOOK_AFTER = script(
  'look-after',
  `${PRELUDE}
local lease = ARGV[7]
local holder = redis.call('GET', lease)
if holder and holder ~= ARGV[4] then return redis.call('PTTL', lease) end
redis.call('SET', lease, ARGV[4], 'PX', ARGV[5])
local time = redis.call('TIME')
local clock = time[1] * 1000 + math.floor(time[2] / 1000)
for _, key in ipairs(redis.call('ZRANGEBYSCORE', KEYS[12], '-inf', clock, 'LIMIT', 0, 100)) do
  redis.call('ZADD', KEYS[12], clock + ARGV[6], key)
  promote(key)
end
-- The consumer that a marker woke may be gone: then nobody knows of these jobs. Without a place nobody need know.
local most = tonumber(redis.call('HGET', base .. 'meta', 'concurrency') or 'inf')
local due = redis.call('ZRANGEBYSCORE', KEYS[5], 0, (clock + 1) * 4096 - 1, 'LIMIT', 0, 1)
if (#due > 0 or redis.call('LLEN', KEYS[10]) > 0) and redis.call('LLEN', KEYS[3]) < most then redis.call('ZADD', KEYS[11], 0, '0') end
return 0
`,
);

/** A task's queue and one of its jobs, as a script needs them. */
export interface ScriptTarget {
  redis: Redis;
  prefix: string;
  task: string;
  id: string;
}

/** Runs a script with the keys and the arguments that all of them share, and its own arguments behind. */
async function run(ask: Script, { redis, prefix, task, id }: ScriptTarget, ...args: (string | number)[]): Promise<unknown> {
  const keys = taskKeys(prefix, task);
  const { active, stalled, delayed, failed, revoked, marked, held, wait, marker, looks } = keys;
  const list = [keys.job(id), `${keys.job(id)}:lock`, active, stalled, delayed, failed, revoked, marked, held, wait, marker, looks];
  return await ask(redis, list, [id, keys.base, Date.now(), ...args]);
}

export type RevokeOutcome = 'unknown' | 'ended' | 'repeated' | 'waiting' | 'started' | 'retrying';

/** Marks a job as revoked; from this moment it is. A waiting one keeps its place in the list and is dropped when fetched. */
export async function revokeJob(target: ScriptTarget): Promise<RevokeOutcome> {
  return (await run(REVOKE, target, revokeChannel(target.prefix))) as RevokeOutcome;
}

/** Ends a fetched job that carries the mark. False when the caller's lock is gone: another consumer has it then. */
export async function dropRevokedJob(target: ScriptTarget, token: string): Promise<boolean> {
  return (await run(DROP_REVOKED, target, token)) === 1;
}

/** What a job asks of its concurrency key. */
export interface PlaceRequest {
  key: string;
  max: number;
  /** How long the place is kept without a renewal, in milliseconds. */
  leaseMs: number;
  /** The latest moment at which the line is looked at again, in milliseconds from now. */
  countdownMs: number;
  /** Jobs stand in line by this number: the time of their submission. */
  order: number;
}

/** `held`: the job has left the queue until a place is free. `refused`: the caller's lock is gone. */
export type PlaceOutcome = 'taken' | 'held' | 'refused';

/** Takes or renews a place for a fetched job, or puts the job in line. */
export async function takePlace(target: ScriptTarget, token: string, request: PlaceRequest): Promise<PlaceOutcome> {
  const { key, max, leaseMs, countdownMs, order } = request;
  return (await run(TAKE_PLACE, target, token, key, max, leaseMs, countdownMs, order)) as PlaceOutcome;
}

/** Gives a job's place back and lets the next in line into the queue. Harmless when it has none, or another consumer's by now. */
export async function givePlaceBack(target: ScriptTarget, token: string, key: string): Promise<void> {
  await run(GIVE_PLACE_BACK, target, key, token);
}

/** Who looks after a task, and how. */
export interface Care {
  /** Unlike any other consumer's. */
  name: string;
  /** How long nobody else may, in milliseconds. */
  leaseMs: number;
  /** When a line that was looked at is due again, in milliseconds. */
  pauseMs: number;
}

/**
 * Looks after a task, unless another consumer does: what a lost message or an ended lease has left standing goes on, of the lines
 * and of the queue.
 * @returns for how many milliseconds another consumer holds the lease; 0 when this one has it now
 */
export async function lookAfter(target: Omit<ScriptTarget, 'id'>, { name, leaseMs, pauseMs }: Care): Promise<number> {
  return Number(await run(LOOK_AFTER, { ...target, id: '' }, name, leaseMs, pauseMs, taskKeys(target.prefix, target.task).caretaker));
}
