/** What the kernel tells of an installation's processes (Linux). */
import { readdirSync, readFileSync } from 'node:fs';

export interface Row {
  pid: number;
  command: string;
}

/** The living processes whose environment or command line names this folder. */
export function processesOf(folder: string): Row[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => !/^\d+ \(.*\) Z/s.test(read(pid, 'stat')))
    .filter((pid) => read(pid, 'environ').includes(folder) || read(pid, 'cmdline').includes(folder))
    .map((pid) => ({ pid: Number(pid), command: read(pid, 'cmdline').replaceAll('\0', ' ').trim() }));
}

/** How many threads a process has; 0 when it is gone. */
export function threadsOf(pid: number): number {
  return Number(/^Threads:\s+(\d+)/m.exec(read(String(pid), 'status'))?.[1] ?? 0);
}

/** False when the process is gone. */
export function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}

function read(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}
