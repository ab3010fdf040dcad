import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Processes of a PM2 daemon that is gone: they go on by themselves and hold the ports. Known on Linux only. */
export function orphansOf(pm2Home: string): number[] {
  return namesIn(join(pm2Home, 'pids'))
    .map((name) => Number(read(join(pm2Home, 'pids', name)).trim()))
    .filter((pid) => pid > 1 && read(`/proc/${pid}/environ`).split('\0').includes(`PM2_HOME=${pm2Home}`));
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
