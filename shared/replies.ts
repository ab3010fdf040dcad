/**
 * Telling who waits for a job how it ended. Every API process hears one channel of its own. A job carries the channels that want to
 * hear of it: `replyTo` in its data, of the process that submitted it for /run, and `tell` in its hash, of those that asked since
 * (watch-job.ts). A message may be lost with a connection: whoever waits reads the job again, so that costs time and nothing else.
 */
import { taskKeys } from './job-scripts.ts';
import type { JobState, JobView } from './job-state.ts';
import type { Redis } from './redis.ts';
import { script } from './script.ts';

/** Results longer than this, in bytes, are not put into the message: the waiting process reads them from the job. */
const INLINE_LENGTH = 64 * 1024;

/**
 * Lua: `tell(job, channels, id, state, quoted, reply_to)` tells the end of a job, once for each channel, and forgets `tell`. Run it in the step that
 * ends the job: who asks later finds the end.
 *
 * - `job`: the key of its hash; `channels`: the value of `tell` in it, or false
 * - `id`, `state`: SUCCESS or FAILURE, as they are
 * - `quoted`: the JSON text of the result as a JSON string, which is how BullMQ keeps a return value
 * - `reply_to`: the channel that the job's data names, '' for none
 */
export const TELL = `
local function tell(job, channels, id, state, quoted, reply_to)
  if channels then redis.call('HDEL', job, 'tell') end
  if not channels and reply_to == '' then return end
  local message = '["' .. id .. '"]'
  if #quoted <= ${INLINE_LENGTH} then message = '["' .. id .. '","' .. state .. '",' .. quoted .. ']' end
  if reply_to ~= '' then redis.call('PUBLISH', reply_to, message) end
  for channel in string.gmatch(channels or '', '%S+') do
    if channel ~= reply_to then redis.call('PUBLISH', channel, message) end
  end
end
`;

// KEYS job · ARGV id state quoted reply_to
const tellOne = script('tell', `${TELL}tell(KEYS[1], redis.call('HGET', KEYS[1], 'tell'), ARGV[1], ARGV[2], ARGV[3], ARGV[4])`);

/** One job of one installation. */
export interface ToldJob {
  prefix: string;
  task: string;
  id: string;
}

/**
 * Tells how a job ended, where its end was written by BullMQ.
 * @param replyTo the channel that the job's data names
 */
export async function tellEnd(redis: Redis, { prefix, task, id }: ToldJob, replyTo: string | undefined, view: JobView): Promise<void> {
  await tellOne(redis, [taskKeys(prefix, task).job(id)], [id, view.state, JSON.stringify(view.resultJson), replyTo ?? '']);
}

/** The channel of one API process. */
export function replyChannel(prefix: string, processId: string): string {
  return `${prefix}:replies:${processId}`;
}

/** What a message says: the job, and its end where that is short enough; else the job must be read. */
export function parseReply(message: string): { id: string; view?: JobView } {
  const [id, state, resultJson] = JSON.parse(message) as [string, JobState?, string?];
  return state === undefined || resultJson === undefined ? { id } : { id, view: { state, resultJson } };
}
