import { lstat, readdir, rmdir, unlink } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { codeOf } from '../../shared/errors.ts';

/** What a sweep has removed. */
export interface Sweep {
  removed: number;
  bytes: number;
}

/** Which files are expired. */
export interface SweepOptions {
  /** The folder that is swept. */
  dir: string;
  /** A folder inside it that is left alone. */
  except: string;
  /** Files last changed before this moment (ms since 1970) are removed. */
  before: number;
  /** Whether an expired file stays, by its path below `dir`. */
  isInUse: (relativePath: string) => Promise<boolean>;
  onError: (path: string, error: unknown) => void;
}

/**
 * Removes expired files that nobody uses, and the folders that are empty. A symbolic link is removed as such when it is old; what it points
 * to is never looked at. A file that cannot be removed is reported and the sweep goes on.
 */
export async function removeExpired(options: SweepOptions): Promise<Sweep> {
  const sweep: Sweep = { removed: 0, bytes: 0 };
  await sweepFolder(options.dir, options, sweep);
  return sweep;
}

async function sweepFolder(folder: string, options: SweepOptions, sweep: Sweep): Promise<void> {
  const { before, dir, except, isInUse, onError } = options;
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    if (path === except) continue;
    try {
      const info = await lstat(path);
      if (info.isDirectory()) {
        await sweepFolder(path, options, sweep);
        if (info.mtimeMs < before) await removeIfEmpty(path);
      } else if (info.mtimeMs < before && !(info.isFile() && (await isInUse(relative(dir, path))))) {
        await unlink(path);
        sweep.removed += 1;
        sweep.bytes += info.size;
      }
    } catch (error) {
      if (!isGone(error)) onError(path, error);
    }
  }
}

async function removeIfEmpty(folder: string): Promise<void> {
  try {
    await rmdir(folder);
  } catch (error) {
    const code = codeOf(error);
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
  }
}

/** Another janitor on a shared volume, or the file's owner, was faster. */
export function isGone(error: unknown): boolean {
  return codeOf(error) === 'ENOENT';
}
