import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const ASK_EVERY_MS = 50;

/** Processes of a PM2 daemon that is gone: they go on by themselves and hold the ports. Known on Linux only. */
export function orphansOf(pm2Home: string): number[] {
  return namesIn(join(pm2Home, 'pids'))
    .map((name) => Number(read(join(pm2Home, 'pids', name)).trim()))
    .filter((pid) => pid > 1 && read(`/proc/${pid}/environ`).split('\0').includes(`PM2_HOME=${pm2Home}`));
}

/** Asks processes to end, and ends those that have not after `withinMs`. */
export async function end(pids: readonly number[], withinMs: number): Promise<void> {
  for (const pid of pids) kill(pid, 'SIGTERM');
  if (await ended(pids, withinMs)) return;
  for (const pid of pids) kill(pid, 'SIGKILL');
  await ended(pids, withinMs);
}

/** Whether all have ended within so many milliseconds. */
export async function ended(pids: readonly number[], withinMs: number): Promise<boolean> {
  const deadline = performance.now() + withinMs;
  while (pids.some((pid) => kill(pid, 0))) {
    if (performance.now() > deadline) return false;
    await delay(ASK_EVERY_MS);
  }
  return true;
}

function kill(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => name.endsWith('.pid'));
  } catch {
    return [];
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
