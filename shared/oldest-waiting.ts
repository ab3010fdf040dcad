/** How long the next job of a queue has waited: the sign that there are too few workers. */

import { taskKeys } from './job-scripts.ts';
import { REVOKED_WAITING } from './job-state.ts';
import type { Redis } from './redis.ts';
import { script } from './script.ts';

/** Jobs looked at from the end of the list from which jobs are taken, and how many are enough if one of them counts. */
const MOST = 200;
const STEP = 10;

// The next to be taken stands last. Revoked ones wait to be dropped; a retried one has waited since its last run at the earliest.
// KEYS wait · ARGV base, most, step
const OLDEST = script(
  'oldest-waiting',
  `
local oldest
for last = -1, -ARGV[2], -ARGV[3] do
  local ids = redis.call('LRANGE', KEYS[1], last - ARGV[3] + 1, last)
  if #ids == 0 then break end
  local since
  for _, id in ipairs(ids) do
    local fields = redis.call('HMGET', ARGV[1] .. id, 'timestamp', 'processedOn', 'defa')
    local time = math.max(tonumber(fields[1] or '0'), tonumber(fields[2] or '0'))
    if time > 0 then
      -- If nothing but revoked ones is found, what stands behind them is younger than they are.
      if not oldest or time < oldest then oldest = time end
      if fields[3] ~= '${REVOKED_WAITING}' and (not since or time < since) then since = time end
    end
  end
  if since then return since end
  if #ids < tonumber(ARGV[3]) then return false end
end
return oldest or false
`,
);

/**
 * Since when the job that waits longest has waited, in milliseconds since 1970; undefined when none waits. A handful of commands
 * however many wait; where more than 200 revoked ones stand before it, the time of the oldest of those.
 */
export async function oldestWaiting(redis: Redis, prefix: string, task: string): Promise<number | undefined> {
  const { wait, base } = taskKeys(prefix, task);
  const since = await OLDEST(redis, [wait], [base, MOST, STEP]);
  return since === null ? undefined : Number(since);
}
