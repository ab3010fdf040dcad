import { end, ended } from '../../shared/ending.ts';
import { type Installation, ours, stopOrder } from './installation.ts';
import { orphansOf } from './orphans.ts';
import { removeRecord } from './record.ts';

/** Milliseconds that killed processes may need to vanish. */
const GONE_WITHIN_MS = 5_000;

/** Stops this node: the API, then the consumer when its jobs have ended, then the rest. Safe to call twice. */
export async function stop({ config, pm2, say }: Installation): Promise<void> {
  if (!(await pm2.isRunning())) {
    const orphans = orphansOf(pm2.home);
    if (orphans.length === 0) return say('not running');
    say(`stopping what an earlier PM2 left behind (${orphans.join(', ')})`);
    return end(orphans, (config.consumer.drainSeconds + 5) * 1000);
  }
  const list = await pm2.list();
  const own = ours(list);
  for (const name of stopOrder) {
    if (!own.some((item) => item.name === name)) continue;
    say(name === 'consumer' ? `stopping consumer (running jobs have ${config.consumer.drainSeconds} s)` : `stopping ${name}`);
    await pm2.run('delete', name);
  }
  if (list.length > own.length) say(`PM2 goes on: ${pm2.home} has other apps too`);
  else await pm2.run('kill');
  const pids = own.map(({ pid }) => pid).filter((pid) => pid > 0);
  if (!(await ended(pids, GONE_WITHIN_MS))) await end(pids, 0);
  removeRecord(config);
  say('stopped');
}
