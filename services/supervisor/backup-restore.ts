import { closeSync, existsSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { SYSTEM_FOLDER } from '../../shared/file-name.ts';
import { FORMAT, filesIn, kept, LABEL_FILE, moveFile, QUEUE_FILE, QUEUE_FOLDER, RECORDS_FOLDER, unpack } from './backup-archive.ts';
import { type Installation, ours } from './installation.ts';
import { orphansOf } from './orphans.ts';
import { SupervisorError } from './pm2.ts';
import { makeFolder } from './preparation.ts';

/** Unpacks an archive into an installation that does not run and has nothing of what is in it. @throws SupervisorError */
export async function restoreBackup(node: Installation, { file, work }: { file: string; work: string }): Promise<void> {
  const { config, say } = node;
  await checkStopped(node);
  checkNoQueue(node);
  const descriptor = file === '-' ? 0 : openSync(file, 'r');
  try {
    await unpack(descriptor, work);
  } finally {
    if (file !== '-') closeSync(descriptor);
  }
  const { made, parts } = labelOf(work);
  const paths = filesIn(work).filter((path) => path !== LABEL_FILE);
  const unknown = paths.find((path) => !belongs(path));
  if (unknown !== undefined) throw new SupervisorError(`${file} is no backup of FastTask: it has ${unknown}`);
  if (paths.includes(QUEUE_FILE) && !config.redis.embedded)
    throw new SupervisorError(`${file} has the queue of an embedded Redis, and REDIS_URL names another: restore it without REDIS_URL`);
  const taken = paths.map((path) => join(config.dirs.files, path)).find((path) => existsSync(path));
  if (taken !== undefined) throw new SupervisorError(`${taken} exists: expected an installation without data; nothing was restored`);
  for (const path of paths) {
    const target = join(config.dirs.files, path);
    makeFolder(dirname(target), isPrivate(path) ? 0o700 : 0o755);
    moveFile(join(work, path), target);
  }
  say(`restored what was saved at ${made}: ${parts.join(', ')}`);
}

async function checkStopped({ pm2 }: Installation): Promise<void> {
  if (ours(await pm2.list()).length > 0 || orphansOf(pm2.home).length > 0)
    throw new SupervisorError('this installation runs: expected one that is stopped and has no data');
}

/** Any file there would be read instead of the restored one, or lost. */
function checkNoQueue({ config }: Installation): void {
  const folder = join(config.dirs.files, QUEUE_FOLDER);
  if (config.redis.embedded && existsSync(folder) && readdirSync(folder).length > 0)
    throw new SupervisorError(
      `${folder} has a queue: expected an installation without data, such as a new FILES_DIR; nothing was restored`,
    );
}

function labelOf(work: string): { made: string; parts: string[] } {
  const file = join(work, LABEL_FILE);
  const label: unknown = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined;
  if (typeof label !== 'object' || label === null || !('format' in label))
    throw new SupervisorError('expected a backup of FastTask, got another archive');
  if (label.format !== FORMAT) throw new SupervisorError(`the backup has format ${String(label.format)}: expected ${FORMAT}`);
  const { made, parts } = { made: '', parts: [], ...label };
  return { made: String(made), parts: Array.isArray(parts) ? parts.map(String) : [] };
}

/** Whether a path can be in an archive: nothing else of the system folder is. */
function belongs(path: string): boolean {
  if (!path.startsWith(`${SYSTEM_FOLDER}/`)) return true;
  return path === QUEUE_FILE || Object.values<string>(kept).includes(path) || path.startsWith(`${RECORDS_FOLDER}/`);
}

function isPrivate(path: string): boolean {
  return path === QUEUE_FILE || Object.values<string>(kept).includes(path);
}
