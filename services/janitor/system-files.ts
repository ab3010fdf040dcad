import { lstat, readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { FILE_LEASE_MS, type FileStore } from '../../shared/files.ts';
import { isGone } from './expired-files.ts';

/** What FastTask itself no longer needs, by kind. */
export interface Tidied {
  /** Owners of files that are gone. */
  records: number;
  /** Leases that have ended. */
  leases: number;
  /** Uploads whose API process died before they were whole. */
  uploads: number;
}

/** An upload that has not grown for this long is nobody's any more, in milliseconds. */
const UPLOAD_MS = 3_600_000;

/** Younger records may be of a file that is about to appear, in milliseconds. */
const RECORD_MS = 60_000;

/** Removes what the API and the consumers have left in the system folder. What cannot be removed is reported and stays. */
export async function tidySystemFiles(store: FileStore, onError: (path: string, error: unknown) => void): Promise<Tidied> {
  const unusedRecord = (name: string) => isMissing(join(store.folder, name.replace(/\.json$/, '')));
  return {
    records: await tidy(store.records, RECORD_MS, onError, unusedRecord),
    leases: await tidy(store.leases, FILE_LEASE_MS, onError),
    uploads: await tidy(store.uploads, UPLOAD_MS, onError),
  };
}

async function tidy(
  folder: string,
  ageMs: number,
  onError: (path: string, error: unknown) => void,
  isUnused: (name: string) => Promise<boolean> = async () => true,
): Promise<number> {
  let removed = 0;
  for (const name of await readdir(folder, { recursive: true }).catch(() => [])) {
    const path = join(folder, name);
    try {
      const info = await lstat(path);
      if (info.isDirectory() || info.mtimeMs > Date.now() - ageMs || !(await isUnused(name))) continue;
      await unlink(path);
      removed += 1;
    } catch (error) {
      if (!isGone(error)) onError(path, error);
    }
  }
  return removed;
}

async function isMissing(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return false;
  } catch (error) {
    if (isGone(error)) return true;
    throw error;
  }
}
