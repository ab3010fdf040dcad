/** Reads a job and asks to be told of its end, in one step: no end can fall between the two. */
import { taskKeys } from './job-scripts.ts';
import { stateFields } from './job-state.ts';
import type { Redis } from './redis.ts';
import type { ToldJob } from './replies.ts';
import { script } from './script.ts';

// KEYS job · ARGV channel, then the fields of a state: the first is there in every job, the second in those that have ended.
const watch = script(
  'watch',
  `
local fields = redis.call('HMGET', KEYS[1], unpack(ARGV, 2))
if not fields[1] or fields[2] then return fields end
local channels = redis.call('HGET', KEYS[1], 'tell')
-- A full Redis takes no word; the state can be read all the same.
if not channels then
  redis.pcall('HSET', KEYS[1], 'tell', ARGV[1])
elseif not string.find(' ' .. channels .. ' ', ' ' .. ARGV[1] .. ' ', 1, true) then
  redis.pcall('HSET', KEYS[1], 'tell', channels .. ' ' .. ARGV[1])
end
return fields
`,
);

/**
 * Reads a job's state and, where it has not ended, leaves word that `channel` is to be told of its end (replies.ts). The same channel again
 * changes nothing. A revoke is told to every API process and needs no word.
 * @param channel without a space
 * @returns the values of `stateFields`, for `viewOf`
 */
export async function watchJob(redis: Redis, { prefix, task, id }: ToldJob, channel: string): Promise<(string | null)[]> {
  return (await watch(redis, [taskKeys(prefix, task).job(id)], [channel, ...stateFields])) as (string | null)[];
}
