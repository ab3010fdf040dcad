/** The tables of what one of everything costs. */
import { blocks, isProduct, type Sent, usOf } from './redis-watch.ts';
import { type ByTasks, type Costs, overheadUs, type PerJob, type Rest } from './scale-costs.ts';

/** What comes less often in a job is upkeep. */
const OFTEN = 0.2;

/** What belongs to one job, a consumer and an API process. */
export function costTables({ connections, rest, alone, busy, waitingBytes, finishedBytes }: Costs): string {
  const { consumer, care, api } = rest;
  return [
    '| what | costs |',
    '|---|---|',
    `| a consumer process, connections | ${byTasksText(connections.consumer)} |`,
    `| an API process, connections | ${connections.api} |`,
    `| a resting consumer, commands/s | ${byTasksText(consumer.commands, 2)} |`,
    `| a resting consumer, µs of Redis inside commands per second | ${byTasksText(consumer.us)} |`,
    `| a resting consumer, bytes/s on the network | ${byTasksText(consumer.bytes)} |`,
    `| care of a task, once in an installation | ${restText(care)} |`,
    `| a resting API process | ${restText(api)} |`,
    `| a command beside its own time, µs of Redis' CPU | ${overheadUs(busy).toFixed(0)} |`,
    `| a job alone, POST /run and GET /check | ${jobText(alone)} |`,
    `| a job among many that wait, from taking it to its end | ${jobText(busy)} |`,
    `| a waiting job with 100 bytes of params, in Redis' memory | ${waitingBytes.toFixed(0)} bytes |`,
    `| the same when it has ended | ${finishedBytes.toFixed(0)} bytes |`,
    '',
    commandTable(alone, busy),
    '',
    `Keys and channels of these commands that belong to no task: ${sharedKeys([...often(alone), ...often(busy)])}.`,
  ].join('\n');
}

function byTasksText({ fixed, perTask }: ByTasks, digits = 0): string {
  return `${fixed.toFixed(digits)} + ${perTask.toFixed(digits)} for each task`;
}

function restText({ commands, us, bytes }: Rest<number>): string {
  return `${commands.toFixed(1)} commands/s, ${us.toFixed(0)} µs inside them per second, ${bytes.toFixed(0)} bytes/s`;
}

function jobText({ jobs, watched: { sent, cpuUs, bytes } }: PerJob): string {
  const each = (value: number) => value / jobs;
  return `${each(sent.filter(isProduct).length).toFixed(1)} commands, ${each(cpuUs).toFixed(0)} µs of Redis' CPU, ${each(bytes).toFixed(0)} bytes on the network`;
}

function kindOf({ client, command }: Sent): string {
  return `${client.replace(/:.*/, '')} | ${command}`;
}

/** The product's commands that come with jobs. */
function often({ jobs, watched }: PerJob): Sent[] {
  const counts = new Map<string, number>();
  const sent = watched.sent.filter(isProduct);
  for (const one of sent) counts.set(kindOf(one), (counts.get(kindOf(one)) ?? 0) + 1);
  return sent.filter((one) => (counts.get(kindOf(one)) ?? 0) / jobs >= OFTEN);
}

/** By whom, how often, how long. */
function commandTable(alone: PerJob, busy: PerJob): string {
  const [ofAlone, ofBusy] = [often(alone), often(busy)];
  const kinds = [...new Set([...ofAlone, ...ofBusy].map(kindOf))].sort();
  const rows = kinds.map((kind) => {
    const [inAlone, inBusy] = [ofAlone, ofBusy].map((sent) => sent.filter((one) => kindOf(one) === kind));
    const all = [...(inAlone ?? []), ...(inBusy ?? [])];
    const us = all.every(blocks) ? 'waits' : (usOf(all) / all.length).toFixed(0);
    return `| ${kind} | ${((inAlone ?? []).length / alone.jobs).toFixed(2)} | ${((inBusy ?? []).length / busy.jobs).toFixed(2)} | ${us} |`;
  });
  return ['| sent by | command or script | per job alone | per job among many | µs each |', '|---|---|---|---|---|', ...rows].join('\n');
}

function sharedKeys(sent: readonly Sent[]): string {
  const keys = sent.flatMap(({ keys: of }) => of).filter((key) => key.startsWith('fasttask:') && !key.startsWith('fasttask:{noop_'));
  const names = new Set(keys.map((key) => key.replace(/[0-9a-f]{8}-[0-9a-f-]{27}/, '<API process>')));
  return names.size === 0 ? 'none' : [...names].join(', ');
}
