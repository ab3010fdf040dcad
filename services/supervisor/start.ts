import { join } from 'node:path';
import { end } from '../../shared/ending.ts';
import { ensureRedis } from '../redis/ensure.ts';
import { addressOf } from './address.ts';
import { type App, REDIS_CONF_DIGEST } from './apps.ts';
import { type Installation, ours } from './installation.ts';
import { checkPorts } from './listening.ts';
import { orphansOf } from './orphans.ts';
import { type ListedProcess, SupervisorError, settle } from './pm2.ts';
import { prepare, writePrivately } from './preparation.ts';
import { READY_WITHIN_MS, untilReady } from './readiness.ts';
import { digestOf, readRecord, writeRecord } from './record.ts';
import { sayRefusedTasks } from './refused-tasks.ts';
import { report } from './report.ts';
import { stop } from './stop.ts';

/**
 * Starts this node and returns when it answers. When it runs already, what has changed is applied by a graceful reload.
 * @throws SupervisorError with nothing left running that this start has started
 */
export async function start(node: Installation): Promise<void> {
  const { config, environment, pm2, say } = node;
  const began = Date.now();
  for (const notice of config.notices) say(notice);
  pm2.check();
  const running = ours(await pm2.list());
  if (running.length === 0) await endOrphans(node);
  await checkPorts(config, running);
  // Imported only where it is needed, because it brings a client of Redis and the log with it.
  const redisAnswers = config.redis.embedded || (await (await import('./external-redis.ts')).checkExternalRedis(node));

  const preparation = await prepare(config, environment, (dir) => ensureRedis({ dir, log: say }), say);
  const { apps } = preparation;
  const address = addressOf(config);
  const digest = digestOf(preparation.inputs);
  const record = readRecord(config);
  const deadline = performance.now() + READY_WITHIN_MS;
  try {
    node.signal.throwIfAborted();
    if (running.length === 0) await startAll(node, apps);
    else if (record?.digest === digest && allRun(apps, running)) say('already running, nothing has changed');
    else await apply(node, apps, running);
    const tasks = await untilReady({ pm2, config, address, names: apps.map(({ name }) => name), signal: node.signal, deadline });
    writeRecord(config, { digest, address });
    sayRefusedTasks(node, began);
    report({ config, pm2, say, address, tasks, redisAnswers });
  } catch (error) {
    if (running.length > 0) throw error;
    say(node.signal.aborted ? 'interrupted, stopping what was started' : 'the start failed, stopping what was started');
    await stop({ ...node, say: () => {} });
    throw node.signal.aborted ? new SupervisorError('interrupted; nothing was left running') : error;
  }
}

async function endOrphans({ pm2, config, say }: Installation): Promise<void> {
  const orphans = orphansOf(pm2.home);
  if (orphans.length === 0) return;
  say(`stopping what an earlier PM2 left behind (${orphans.join(', ')})`);
  await end(orphans, (config.consumer.drainSeconds + 5) * 1000);
}

async function startAll(node: Installation, apps: readonly App[]): Promise<void> {
  node.say(`starting ${apps.map(({ name, instances }) => (instances === 1 ? name : `${name} × ${instances}`)).join(', ')}`);
  await node.pm2.run('start', appsFile(node, apps));
}

/** PM2 reads a file; it holds no secret, but nobody else needs it either. */
function appsFile({ config }: Installation, apps: readonly App[]): string {
  const file = join(config.dirs.conf, 'ecosystem.json');
  writePrivately(file, JSON.stringify({ apps }, null, 2));
  return file;
}

/** Redis first, and only when its own settings have changed or it does not run: the others live through its absence. */
async function apply(node: Installation, apps: readonly App[], running: readonly ListedProcess[]): Promise<void> {
  const { pm2, say } = node;
  const file = appsFile(node, apps);
  for (const name of new Set(running.map((item) => item.name).filter((name) => !apps.some((app) => app.name === name)))) {
    say(`removing ${name}, which a ${node.config.nodeType} does not run`);
    await pm2.run('delete', name);
  }
  const keepsRedis = apps.some((app) => app.name === 'redis' && allRun([app], running) && hasSettings(app, running));
  const online = (name: App['name']) => running.some((item) => item.name === name && item.status === 'online');
  if (!keepsRedis && online('redis') && online('consumer')) {
    say('stopping consumer while the queue can still be reached');
    await pm2.run('stop', 'consumer');
  }
  for (const app of apps) {
    if (app.name === 'redis' && keepsRedis) continue;
    say(`applying what has changed: ${app.name}`);
    await settle(pm2, app.name, running);
    await pm2.run(app.exec_mode === 'cluster' ? 'startOrReload' : 'startOrRestart', file, '--only', app.name, '--update-env');
    const count = running.filter(({ name }) => name === app.name).length;
    if (count > 0 && count !== app.instances) await pm2.run('scale', app.name, String(app.instances));
  }
}

function hasSettings({ name, env }: App, running: readonly ListedProcess[]): boolean {
  return running.some((item) => item.name === name && item.variable(REDIS_CONF_DIGEST) === env[REDIS_CONF_DIGEST]);
}

function allRun(apps: readonly App[], running: readonly ListedProcess[]): boolean {
  return apps.every(({ name, instances, autorestart }) => {
    const own = running.filter((item) => item.name === name && (item.status === 'online' || !autorestart));
    return own.length === instances;
  });
}
