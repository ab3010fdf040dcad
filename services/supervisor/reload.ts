import { addressOf } from './address.ts';
import { type Installation, ours } from './installation.ts';
import { SupervisorError, settle } from './pm2.ts';
import { READY_WITHIN_MS, untilReady } from './readiness.ts';
import { readRecord } from './record.ts';
import { sayRefusedTasks } from './refused-tasks.ts';

/**
 * Replaces the API's processes and the consumer gracefully, with the configuration that they were started with: new code
 * and new task files are taken up. Returns when the node answers.
 */
export async function reload({ config, pm2, say, signal }: Installation): Promise<void> {
  const began = Date.now();
  const running = ours(await pm2.list());
  const names = ['consumer', 'api'].filter((name) => running.some((item) => item.name === name));
  if (names.length === 0) throw new SupervisorError('not running: `npm start` starts it');
  for (const name of names) {
    say(`reloading ${name}`);
    await pm2.run((await settle(pm2, name, running)) ? 'restart' : 'reload', name);
  }
  const address = names.includes('api') ? (readRecord(config)?.address ?? addressOf(config)) : null;
  const tasks = await untilReady({ pm2, config, address, names, signal, deadline: performance.now() + READY_WITHIN_MS });
  sayRefusedTasks({ config, say }, began);
  say(tasks === undefined ? 'reloaded' : `reloaded; tasks: ${tasks.join(', ')}`);
}
