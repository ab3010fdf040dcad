/** The archive of a backup: a .tar.gz whose paths are those in FILES_DIR, written and read by the system's tar. */
import { spawn } from 'node:child_process';
import { copyFileSync, linkSync, lstatSync, mkdirSync, readdirSync, realpathSync, renameSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { ACCOUNTS_FILE } from '../../shared/accounts.ts';
import { codeOf } from '../../shared/errors.ts';
import { SYSTEM_FOLDER } from '../../shared/file-name.ts';
import { SupervisorError } from './pm2.ts';

/** Says what the archive is; its `format` changes when an older program could not read it any more. */
export const LABEL_FILE = 'backup.json';
export const FORMAT = 1;

/** The folder of the embedded server's data, in FILES_DIR. */
export const QUEUE_FOLDER = `${SYSTEM_FOLDER}/redis/data`;

/**
 * The queue as Redis' own snapshot (RDB), under the name of an append-only file: every version since 6.2 takes it as the start of one,
 * whichever version wrote it.
 */
export const QUEUE_FILE = `${QUEUE_FOLDER}/appendonly.aof`;

/** Kept beside the queue, by its path in FILES_DIR; secrets that every start makes anew are not. */
export const kept = {
  accounts: `${SYSTEM_FOLDER}/conf/${ACCOUNTS_FILE}`,
  key: `${SYSTEM_FOLDER}/ssl_cert/key.pem`,
  certificate: `${SYSTEM_FOLDER}/ssl_cert/cert.pem`,
} as const;

/** Whose the files are, with `--files`. */
export const RECORDS_FOLDER = `${SYSTEM_FOLDER}/file_records`;

/** The regular files under a folder, by their paths in it; links, sockets and what vanishes meanwhile are left out. */
export function filesIn(folder: string, except?: string, root = folder): string[] {
  const entries = folder === except ? [] : namesIn(folder);
  return entries.flatMap((name) => {
    const path = join(folder, name);
    const info = lstatSync(path, { throwIfNoEntry: false });
    if (info?.isDirectory()) return filesIn(path, except, root);
    return info?.isFile() ? [relative(root, path)] : [];
  });
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
}

/** Puts a second name of a file into the work folder, which costs nothing; a copy where another disk begins. False: it is gone. */
export function addLink(from: string, to: string): boolean {
  mkdirSync(dirname(to), { recursive: true });
  try {
    try {
      // What a link leads to: the accounts file may be one.
      linkSync(realpathSync(from), to);
    } catch (error) {
      if (codeOf(error) === 'ENOENT') throw error;
      copyFileSync(from, to);
    }
    return true;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
}

/** Moves a file, also to another disk. */
export function moveFile(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (codeOf(error) !== 'EXDEV') throw error;
    copyFileSync(from, to);
  }
}

/** Packs a folder into an open file. @throws SupervisorError with tar's reason */
export function pack(folder: string, descriptor: number): Promise<void> {
  return tar(['-czf', '-', '-C', folder, '.'], ['ignore', descriptor, 'pipe']);
}

/** Unpacks an open file into a folder. @throws SupervisorError with tar's reason */
export function unpack(descriptor: number, folder: string): Promise<void> {
  return tar(['-xzf', '-', '-C', folder, '-o'], [descriptor, 'ignore', 'pipe']);
}

/** GNU tar's word, in English and with exit code 1, for a file that was written to or removed meanwhile: it is packed as it was found. */
const CHANGED = /: file changed as we read it$/;

/** Its last word after any fault, which says nothing of it. */
const CLOSING = /: (Error is not recoverable: exiting now|Exiting with failure status due to previous errors|Child returned status \d+)$/;

/** The first faults that tar told of, in one line; empty when it told none. */
function faultsIn(errors: string): string {
  const lines = errors.split('\n').filter((line) => line.trim() !== '' && !CHANGED.test(line) && !CLOSING.test(line));
  return [...new Set(lines)].slice(0, 2).join('; ');
}

function tar(args: readonly string[], stdio: ['ignore' | number, 'ignore' | number, 'pipe']): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn('env', ['LC_ALL=C', 'tar', ...args], { stdio });
    let errors = '';
    child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      errors += chunk;
    });
    child.once('error', (error) => reject(new SupervisorError(`tar cannot be run: ${error.message}`)));
    child.once('close', (code, signal) => {
      const changed =
        code === 1 &&
        errors
          .trim()
          .split('\n')
          .every((line) => CHANGED.test(line));
      if (code === 0 || changed) resolve();
      else reject(new SupervisorError(`tar failed: ${faultsIn(errors) || (signal ?? `exit code ${code}`)}`));
    });
  });
}
