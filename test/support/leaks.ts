import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { living } from './processes.ts';
import { tempDirs } from './temp.ts';

export interface Leftover {
  pid: number;
  command: string;
}

/**
 * Processes that a test file left behind: its children, and whatever names one of its folders in its command line, its
 * environment or as its working folder (a daemon that PM2 started has another parent). Without /proc: children only.
 */
export function leftovers(): Leftover[] {
  const byPid = new Map<number, Leftover>(living().map(({ pid, name }) => [pid, { pid, command: name }]));
  for (const pid of pids()) {
    if (pid !== process.pid && (parentOf(pid) === process.pid || tempDirs().some((folder) => mentions(pid, folder)))) {
      byPid.set(pid, { pid, command: read(pid, 'cmdline').replaceAll('\0', ' ').trim() });
    }
  }
  return [...byPid.values()];
}

function pids(): number[] {
  try {
    return readdirSync('/proc').map(Number).filter(Number.isInteger);
  } catch {
    return [];
  }
}

/** The parent of a process that still runs; a zombie has none here, because its parent is about to collect it. */
function parentOf(pid: number): number | undefined {
  const [state, parent] = read(pid, 'stat')
    .replace(/^.*\) /s, '')
    .split(' ');
  return state === 'Z' ? undefined : Number(parent);
}

function mentions(pid: number, folder: string): boolean {
  return read(pid, 'cmdline').includes(folder) || read(pid, 'environ').includes(folder) || cwdOf(pid).startsWith(folder);
}

function cwdOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return '';
  }
}

/** Empty when the process has ended or belongs to somebody else. */
function read(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}
