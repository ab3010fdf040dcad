import { addressOf, loadedTasks } from './address.ts';
import type { Installation } from './installation.ts';
import { readRecord } from './record.ts';
import { report } from './report.ts';

/** Shows PM2's table, and where the node answers. Exit code 1 when it does not run. */
export async function status({ config, pm2, say }: Installation): Promise<number> {
  if (!(await pm2.isRunning())) {
    say('not running: `npm start` starts it');
    return 1;
  }
  const code = await pm2.attach(['list']);
  const address = readRecord(config)?.address ?? addressOf(config);
  report({ config, pm2, say, address, tasks: address === null ? undefined : await loadedTasks(address) });
  return code;
}
