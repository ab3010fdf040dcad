import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { addLink, FORMAT, filesIn, kept, LABEL_FILE, pack, QUEUE_FILE, QUEUE_FOLDER, RECORDS_FOLDER } from './backup-archive.ts';
import type { Installation } from './installation.ts';
import { SupervisorError } from './pm2.ts';
import { takeSnapshot } from './redis-snapshot.ts';

interface Target {
  /** Where the archive goes; - is the standard output. */
  file: string;
  /** Also what clients uploaded and tasks made. */
  files: boolean;
  /** An empty folder for what is packed. */
  work: string;
}

/** Packs the queue as it is at one moment, accounts, certificate and, where wanted, the files. @throws SupervisorError */
export async function saveBackup({ config, say, signal }: Installation, { file, files, work }: Target): Promise<void> {
  const target = file === '-' ? undefined : newFile(file, config.dirs.files);
  const parts: string[] = [];
  // The queue first: what a job of it names was uploaded before.
  if (config.redis.embedded) {
    mkdirSync(join(work, QUEUE_FOLDER), { recursive: true });
    await takeSnapshot(config, join(config.dirs.files, QUEUE_FOLDER), join(work, QUEUE_FILE), signal);
    parts.push('the queue');
  } else say('the queue is not in it: REDIS_URL names a Redis of your own, which has its own backup');
  const add = (path: string) => addLink(join(config.dirs.files, path), join(work, path));
  if (add(kept.accounts)) parts.push('the accounts');
  if (add(kept.key) && add(kept.certificate)) parts.push('the certificate');
  if (files) {
    const added = filesIn(config.dirs.files, config.dirs.system).filter(add);
    for (const record of filesIn(join(config.dirs.files, RECORDS_FOLDER))) add(join(RECORDS_FOLDER, record));
    parts.push(`${added.length} files`);
  }
  writeFileSync(join(work, LABEL_FILE), `${JSON.stringify({ format: FORMAT, made: new Date().toISOString(), parts })}\n`);
  const bytes = await packInto(work, target);
  say(`saved${target === undefined ? '' : ` in ${target} (${bytes} bytes)`}: ${parts.join(', ')}`);
}

/** A path at which nothing is, outside the folder that is served. */
function newFile(file: string, served: string): string {
  const path = resolve(file);
  if (existsSync(path)) throw new SupervisorError(`${path} exists: expected a new file`);
  if (!existsSync(dirname(path))) throw new SupervisorError(`${dirname(path)} is no folder: expected one for the backup`);
  if (!relative(served, path).startsWith('..'))
    throw new SupervisorError(`${path} lies in FILES_DIR, which is served: choose another folder`);
  return path;
}

/** Under its name the archive appears when it is whole; only its owner can read it. @returns its size in bytes */
async function packInto(folder: string, target: string | undefined): Promise<number> {
  if (target === undefined) {
    await pack(folder, 1);
    return 0;
  }
  const partial = `${target}.partial`;
  const descriptor = openSync(partial, 'wx', 0o600);
  try {
    await pack(folder, descriptor);
    fsyncSync(descriptor);
    renameSync(partial, target);
  } catch (error) {
    rmSync(partial, { force: true });
    throw error;
  } finally {
    closeSync(descriptor);
  }
  return statSync(target).size;
}
