/** Each place among a node's consumer processes is held by one process alone, so that a node never runs more jobs than it has slots. */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { end } from '../../shared/ending.ts';
import type { Logger } from '../../shared/logger.ts';

export interface SeatOptions {
  /** Where the holder is written down; its folder must exist. */
  file: string;
  /** How long an earlier holder may drain, in milliseconds. */
  patienceMs: number;
  log: Logger;
}

/**
 * Takes a place, and ends a process that holds it: under load PM2 (7.0) was seen to start a process twice when a restart by hand met one of its own,
 * and to know only the later one from then on. Returns when the other is gone. Does nothing where /proc does not tell processes apart.
 */
export async function takeSeat({ file, patienceMs, log }: SeatOptions): Promise<void> {
  const own = identityOf(process.pid);
  if (own === undefined) return;
  const before = await exchange(file, own);
  const pid = Number(before.split(' ')[0]);
  if (before === own || !(pid > 1) || identityOf(pid) !== before) return;
  log.warn({ otherPid: pid }, 'seat.taken_over');
  await end([pid], patienceMs);
}

/** The pid and the moment of the start, which together no other process of this boot has; undefined when there is none or no /proc. */
function identityOf(pid: number): string | undefined {
  try {
    // The program's name, in parentheses, may have blanks; the start is the 22nd field, the 20th behind it (man 5 proc).
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ');
    return `${pid} ${fields?.[19]}`;
  } catch {
    return undefined;
  }
}

/** How long another process may be between reading and writing, in milliseconds: far more than it takes. */
const LOCK_PATIENCE_MS = 2000;
const LOCK_POLL_MS = 10;

/** Writes the file and gives what stood there, in one step for everybody who does the same. */
async function exchange(file: string, text: string): Promise<string> {
  const lock = `${file}.lock`;
  const deadline = performance.now() + LOCK_PATIENCE_MS;
  while (!made(lock) && performance.now() < deadline) await delay(LOCK_POLL_MS);
  try {
    const before = read(file);
    writeFileSync(`${file}.${process.pid}`, text);
    renameSync(`${file}.${process.pid}`, file);
    return before;
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
}

function made(folder: string): boolean {
  try {
    mkdirSync(folder);
    return true;
  } catch {
    return false;
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
