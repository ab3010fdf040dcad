/** What Redis did, and for whom: its slow log with a threshold of nothing, its own counters, and the CPU time of processes. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Redis as Server } from 'ioredis';
// For the names of its scripts.
import '../../services/consumer/lane.ts';
import { scriptNames } from '../../shared/script.ts';

/** One command that a client sent. What a script calls is part of it. */
export interface Sent {
  /** Name of the connection; what differs between consumers is left out. */
  client: string;
  /** The command, or the name of the script that it ran. */
  command: string;
  /** Microseconds of Redis; for a blocking command also those in which it waited. */
  us: number;
  /** Keys and channels, as far as they can be told from the arguments. */
  keys: string[];
}

/** What went on in a window of time. */
export interface Watched {
  sent: Sent[];
  seconds: number;
  /** Microseconds of Redis' CPU, in user code and in the kernel. */
  cpuUs: number;
  /** Bytes that Redis has read and written. */
  bytes: number;
}

const LOG_LENGTH = 500_000;

let hertz: number | undefined;

/** CPU seconds that a process has used, in user code and in the kernel (Linux). */
export function cpuSeconds(pid: number): number {
  hertz ??= Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / hertz;
}

/** Watches the server while `work` is done. This connection's own commands are left out of `sent`. */
export async function watch(server: Server, work: () => Promise<unknown>): Promise<Watched> {
  const ownAddress = /addr=(\S+)/.exec(String(await server.client('INFO')))?.[1];
  await server.config('SET', 'slowlog-max-len', LOG_LENGTH);
  await server.config('SET', 'slowlog-log-slower-than', 0);
  await server.slowlog('RESET');
  const [before, from] = [await totals(server), performance.now()];
  await work();
  const [after, to] = [await totals(server), performance.now()];
  await server.config('SET', 'slowlog-log-slower-than', -1);
  const entries = (await server.call('SLOWLOG', 'GET', '-1')) as [number, number, number, string[], string, string][];
  const names = new Map([...bullmqScripts(server), ...scriptNames]);
  // What a script calls has no name, as every connection of the product has.
  return {
    sent: entries.flatMap(([, , us, args, address, name]) =>
      address === ownAddress || name === '' ? [] : [asSent(us, args, name, names)],
    ),
    seconds: (to - from) / 1000,
    cpuUs: after.cpuUs - before.cpuUs,
    bytes: after.bytes - before.bytes,
  };
}

/** Commands of the product, not those by which a benchmark submits and looks on. */
export function isProduct({ client }: Sent): boolean {
  return !client.startsWith('test');
}

/** Whether the time of a command is that for which it waited. */
export function blocks({ command }: Pick<Sent, 'command'>): boolean {
  return command === 'bzpopmin';
}

/** Microseconds that Redis needed for these. */
export function usOf(sent: readonly Sent[]): number {
  return sent.reduce((total, one) => total + (blocks(one) ? 0 : one.us), 0);
}

/** Bytes that its data takes. */
export async function usedMemory(server: Server): Promise<number> {
  return numberOf(await server.info('memory'), 'used_memory');
}

/** How many connections of each name there are, but for those of this process. */
export async function connectionsByClient(server: Server): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  for (const [, name = ''] of String(await server.client('LIST')).matchAll(/ name=(\S*)/g)) {
    const client = clientOf(name);
    counts.set(client, (counts.get(client) ?? 0) + 1);
  }
  return counts;
}

async function totals(server: Server): Promise<{ cpuUs: number; bytes: number }> {
  const info = await server.info();
  return {
    cpuUs: (numberOf(info, 'used_cpu_user') + numberOf(info, 'used_cpu_sys')) * 1e6,
    bytes: numberOf(info, 'total_net_input_bytes') + numberOf(info, 'total_net_output_bytes'),
  };
}

function numberOf(info: string, name: string): number {
  return Number(new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1]);
}

/** BullMQ's scripts by their digest: it has made each a command of the connections that it uses. */
function bullmqScripts({ scriptsSet }: Server): Map<string, string> {
  return new Map(
    Object.entries(scriptsSet as Record<string, { sha: string }>).map(([name, { sha }]) => [sha, name.replace(/[-:].*$/, '')]),
  );
}

function asSent(us: number, [name = '', ...args]: string[], client: string, scripts: ReadonlyMap<string, string>): Sent {
  const command = name.toLowerCase();
  const isScript = command === 'evalsha' || command === 'eval';
  const [script = ''] = args;
  return {
    client: clientOf(client),
    command: isScript ? (scripts.get(script) ?? 'a script') : command,
    us,
    keys: isScript ? args.slice(2, 2 + Number(args[1])) : args.filter((arg) => arg.includes(':')),
  };
}

/** A consumer names two of its connections after itself. */
function clientOf(name: string): string {
  return name.replace(/^.*@.*\.\d+(?=:)/, 'consumer');
}
