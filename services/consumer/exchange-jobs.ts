/**
 * The step between two jobs: one script that writes how jobs of a task ended and takes others of it. BullMQ's own script does that for
 * one job at a time, with fields for features that FastTask does not use; what this one writes is what that one would. It knows
 * neither priorities nor BullMQ's rate limits: nothing submits jobs with them.
 */
import { taskKeys } from '../../shared/job-scripts.ts';
import type { Redis } from '../../shared/redis.ts';
import { TELL } from '../../shared/replies.ts';
import { script } from '../../shared/script.ts';

/** The fields of BullMQ's job hash that a taken job needs, in the order in which they are read. */
const takenFields = ['name', 'data', 'opts', 'timestamp', 'atm', 'stc', 'defa', 'stacktrace'] as const;

// KEYS 1 wait 2 active 3 stalled 4 completed 5 meta 6 delayed 7 marker
// ARGV 1 base 2 now (ms) 3 stamp 4 lock (ms) 5 token of the jobs taken 6 how many · then of each end: id, token, return value, channel that the job's data names (or '')
// Returns for each end whether the caller still owned the job; the jobs taken; when the next is due (ms), or 0.
const exchange = script(
  'exchange-jobs',
  `${TELL}
local wait, active, delayed, marker = KEYS[1], KEYS[2], KEYS[6], KEYS[7]
local base, now = ARGV[1], ARGV[2]

local owned = {}
for at = 7, #ARGV, 4 do
  local id = ARGV[at]
  local job = base .. id
  local known = redis.call('HMGET', job, 'timestamp', 'atm', 'tell')
  if known[1] and redis.call('GET', job .. ':lock') == ARGV[at + 1] and redis.call('LREM', active, -1, id) == 1 then
    redis.call('DEL', job .. ':lock')
    redis.call('SREM', KEYS[3], id)
    redis.call('HSET', job, 'atm', tonumber(known[2] or 0) + 1, 'returnvalue', ARGV[at + 2], 'finishedOn', now)
    redis.call('ZADD', KEYS[4], now, id)
    tell(job, known[3], id, 'SUCCESS', ARGV[at + 2], ARGV[at + 3])
    owned[#owned + 1] = 1
  else
    owned[#owned + 1] = 0
  end
end

local meta = redis.call('HMGET', KEYS[5], 'paused', 'concurrency')
local room = tonumber(ARGV[6])
local wanted = room
local limit = math.huge
if meta[1] then limit = 0 elseif meta[2] then limit = tonumber(meta[2]) end
if limit < math.huge then room = math.max(0, math.min(room, limit - redis.call('LLEN', active))) end

local taken = {}
if wanted > 0 then
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', delayed, 0, (now + 1) * 4096 - 1, 'LIMIT', 0, 1000)) do
    redis.call('ZREM', delayed, id)
    redis.call('LPUSH', wait, id)
    redis.call('HSET', base .. id, 'delay', 0)
  end
  while #taken < room do
    local id = redis.call('RPOPLPUSH', wait, active)
    if not id then break end
    local job = base .. id
    local found = redis.call('HMGET', job, ${takenFields.map((field) => `'${field}'`).join(', ')})
    if found[1] then
      redis.call('SET', job .. ':lock', ARGV[5], 'PX', ARGV[4])
      -- A run that was lost is counted as started and never as ended: without this the job would look started at every retry.
      redis.call('HSET', job, 'processedOn', now, 'pb', ARGV[3], 'ats', tonumber(found[5] or 0) + 1)
      taken[#taken + 1] = { id, found }
    else
      -- Its hash is gone, by whatever hand.
      redis.call('LREM', active, 1, id)
    end
  end
end

local left = redis.call('LLEN', wait)
if left > 0 and (limit == math.huge or redis.call('LLEN', active) < limit) then redis.call('ZADD', marker, 0, '0') end
local due = 0
if #taken < wanted then
  local first = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
  if first[2] then due = math.ceil(tonumber(first[2]) / 4096) end
end
return { owned, taken, due }
`,
);

/** How a job ended that has returned a result. */
export interface End {
  id: string;
  token: string;
  /** The result as JSON text. */
  json: string;
  /** The channel that the job's data names. */
  replyTo: string | undefined;
}

/** What is taken in exchange. */
export interface Taking {
  wanted: number;
  /** Their lock. */
  token: string;
  lockMs: number;
  /** Written into each, see job-state.ts. */
  stamp: string;
}

/** A job that was taken, and the values of `takenFields`. */
export interface TakenFields {
  id: string;
  fields: (string | null)[];
}

export interface Exchanged {
  /** For each end whether the caller still owned the job, so that it is written. */
  owned: boolean[];
  taken: TakenFields[];
  /** Where fewer jobs were there than wanted: when the next one is due, in milliseconds since 1970. */
  due: number | undefined;
}

/** Ends jobs of one task and takes others of it, in one step. */
export async function exchangeJobs(
  redis: Redis,
  prefix: string,
  task: string,
  ends: readonly End[],
  { wanted, token, lockMs, stamp }: Taking,
): Promise<Exchanged> {
  const keys = taskKeys(prefix, task);
  const { wait, active, stalled, completed, meta, delayed, marker } = keys;
  const args: (string | number)[] = [keys.base, Date.now(), stamp, lockMs, token, wanted];
  for (const end of ends) args.push(end.id, end.token, JSON.stringify(end.json), end.replyTo ?? '');
  const reply = await exchange(redis, [wait, active, stalled, completed, meta, delayed, marker], args);
  const [owned, taken, due] = reply as [number[], [id: string, fields: (string | null)[]][], number];
  return {
    owned: owned.map((flag) => flag === 1),
    taken: taken.map(([id, fields]) => ({ id, fields })),
    due: due > 0 ? due : undefined,
  };
}
