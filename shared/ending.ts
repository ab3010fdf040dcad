/** Ends other processes of this installation, gently first. */
import { setTimeout as delay } from 'node:timers/promises';

const ASK_EVERY_MS = 50;

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
