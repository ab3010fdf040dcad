/** What goes wrong in a chaos run, one thing after another, by chance. */
import { setTimeout as pause } from 'node:timers/promises';
import { type Fault, nowMs } from './history.ts';
import type { AppName, ChaosNode } from './node.ts';
import type { Random } from './random.ts';

const APPS: readonly [AppName, ...AppName[]] = ['api', 'consumer', 'consumer', 'redis'];

type Injection = (node: ChaosNode, random: Random) => Promise<{ kind: string; target: string } | undefined>;

const injections: readonly [Injection, ...Injection[]] = [
  killOne,
  killOne,
  freezeOne,
  cutConnections,
  forgetScripts,
  fillMemory,
  restartApp,
];

/** Injects faults until `untilMs`; each has ended when this returns. */
export async function injectFaults(node: ChaosNode, random: Random, untilMs: number, onFault: (fault: Fault) => void): Promise<void> {
  while (nowMs() < untilMs) {
    await pause(random.between(800, 4000));
    const fromMs = nowMs();
    const fault = await random.pick(injections)(node, random);
    if (fault !== undefined) onFault({ ...fault, fromMs, toMs: nowMs() });
  }
}

async function onePid(node: ChaosNode, app: AppName, random: Random): Promise<number | undefined> {
  const pids = await node.pids(app);
  return pids[Math.floor(random.next() * pids.length)];
}

async function killOne(node: ChaosNode, random: Random) {
  const target = random.pick(APPS);
  return (await send(node, random, target, 'SIGKILL')) ? { kind: 'kill', target } : undefined;
}

async function freezeOne(node: ChaosNode, random: Random) {
  const target = random.pick(APPS);
  const pid = await send(node, random, target, 'SIGSTOP');
  if (pid === undefined) return undefined;
  await pause(random.between(500, target === 'redis' ? 4000 : 12_000));
  signal(pid, 'SIGCONT');
  return { kind: 'freeze', target };
}

async function send(node: ChaosNode, random: Random, app: AppName, name: NodeJS.Signals): Promise<number | undefined> {
  const pid = await onePid(node, app, random);
  return pid !== undefined && signal(pid, name) ? pid : undefined;
}

function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    process.kill(pid, name);
    return true;
  } catch {
    // It ended by itself meanwhile.
    return false;
  }
}

async function cutConnections({ redis }: ChaosNode) {
  for (const type of ['normal', 'pubsub']) await redis.call('CLIENT', 'KILL', 'TYPE', type, 'SKIPME', 'yes');
  return { kind: 'cut', target: 'connections' };
}

async function forgetScripts({ redis }: ChaosNode) {
  await redis.script('FLUSH');
  return { kind: 'flush', target: 'scripts' };
}

async function fillMemory({ redis }: ChaosNode, random: Random) {
  const used = Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1]);
  await redis.config('SET', 'maxmemory', Math.round(used * 0.9));
  await pause(random.between(500, 3000));
  await redis.config('SET', 'maxmemory', 0);
  return { kind: 'fill', target: 'memory' };
}

async function restartApp(node: ChaosNode, random: Random) {
  const [command, target] = random.pick([
    ['reload', 'api'],
    ['restart', 'consumer'],
  ]);
  await node.pm2(command ?? 'reload', target ?? 'api');
  return { kind: command ?? 'reload', target: target ?? 'api' };
}
