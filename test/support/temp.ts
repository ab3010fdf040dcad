import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const folders = new Set<string>();

/** A new empty folder with a short path (Unix sockets end at 107 bytes), removed after the test file. */
export function tempDir(name = 't'): string {
  const folder = mkdtempSync(join(tmpdir(), `ft-${name}-`));
  folders.add(folder);
  return folder;
}

/** The folders that `tempDir` made and that still exist. */
export function tempDirs(): readonly string[] {
  return [...folders];
}

/** Removes every folder of `tempDir`; safe to call twice. */
export function removeTempDirs(): void {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  folders.clear();
}
