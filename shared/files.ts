/** The files of FILES_DIR: found by name without ever following a symbolic link, with their owners and the leases of jobs that use them. */
import { createHash, randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { codeOf, NotFoundError } from './errors.ts';
import { pathOfName, SYSTEM_FOLDER } from './file-name.ts';

/** How long a lease holds after its last renewal, in milliseconds. */
export const FILE_LEASE_MS = 60_000;

/** A regular file that is open for reading. Whoever has opened it closes `handle`. */
export interface OpenFile {
  handle: FileHandle;
  /** Absolute, without a symbolic link below FILES_DIR. */
  path: string;
  /** Bytes. */
  size: number;
  /** Last change, in nanoseconds since 1970. */
  mtimeNs: bigint;
}

/** What is kept beside a file that was uploaded, made by a job, or fetched. */
export interface FileRecord {
  /** The account it belongs to; left out: nobody. */
  owner?: string;
  /** In hexadecimal digits; unknown for a file that a job has made on this node. */
  sha256?: string;
  /** Bytes at the time of the upload; unknown for a file that a job has made on this node. */
  size?: number;
  /** The master's validator: this file is a copy of the master's. */
  etag?: string;
}

/** What a missing file looks like from outside: also a folder, a socket, a symbolic link, a file that one cannot open. */
const MISSING: readonly unknown[] = [
  'ENOENT',
  'ENOTDIR',
  'ELOOP',
  'EISDIR',
  'ENAMETOOLONG',
  'ENXIO',
  'ENODEV',
  'EACCES',
  'EPERM',
  'EMLINK',
];

export class FileStore {
  /** FILES_DIR. */
  readonly folder: string;
  /** Where uploads lie until they are whole. */
  readonly uploads: string;
  readonly records: string;
  readonly leases: string;

  /** @param folder FILES_DIR, absolute */
  constructor(folder: string) {
    this.folder = folder;
    this.uploads = join(folder, SYSTEM_FOLDER, 'uploads_tmp');
    this.records = join(folder, SYSTEM_FOLDER, 'file_records');
    this.leases = join(folder, SYSTEM_FOLDER, 'files_in_use');
  }

  /**
   * Opens a file for reading.
   * @throws FileNameError 400, 403
   * @throws NotFoundError when there is no regular file of this name; a symbolic link on the way counts as nothing
   */
  async open(name: string): Promise<OpenFile> {
    const relative = pathOfName(name);
    if (relative === '') throw noFile();
    try {
      return await this.#open(join(this.folder, relative), relative);
    } catch (error) {
      throw MISSING.includes(codeOf(error)) ? noFile() : error;
    }
  }

  /** Opens a file for reading; undefined where `open` finds none. @throws FileNameError */
  async openIfThere(name: string): Promise<OpenFile | undefined> {
    try {
      return await this.open(name);
    } catch (error) {
      if (error instanceof NotFoundError) return undefined;
      throw error;
    }
  }

  /** Whether `open` finds a file. @throws FileNameError */
  async has(name: string): Promise<boolean> {
    const file = await this.openIfThere(name);
    await file?.handle.close();
    return file !== undefined;
  }

  async #open(path: string, relative: string): Promise<OpenFile> {
    // Without O_NONBLOCK, opening a FIFO waits for its writer.
    const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const info = await handle.stat({ bigint: true });
      // Looked at after the file was opened, so that a folder that is replaced by a link in between is noticed.
      const real = await realpath(path);
      const there = await lstat(real, { bigint: true });
      const straight = real === join(await realpath(this.folder), relative) && there.ino === info.ino && there.dev === info.dev;
      if (!info.isFile() || !straight) throw noFile();
      return { handle, path, size: Number(info.size), mtimeNs: info.mtimeNs };
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** Who a file belongs to; undefined: nobody, or there is no such file. @throws FileNameError */
  async owner(name: string): Promise<string | undefined> {
    return (await this.recordOf(name)).owner;
  }

  /** What is kept beside a file; empty: nothing that is understood. @throws FileNameError */
  async recordOf(name: string): Promise<FileRecord> {
    try {
      return recordFrom(JSON.parse(await readFile(this.#recordFile(name), 'utf8')));
    } catch (error) {
      if (error instanceof SyntaxError || MISSING.includes(codeOf(error))) return {};
      throw error;
    }
  }

  /**
   * Takes a whole file in under a name, with its record, or not at all. Who sees a new file sees whose it is; the record of one that is replaced
   * never speaks of bytes that are not there yet.
   * @param from its path, on the disk of FILES_DIR
   */
  async adopt(from: string, name: string, record: FileRecord): Promise<void> {
    const path = join(this.folder, pathOfName(name));
    await mkdir(dirname(path), { recursive: true });
    if (!(await exists(path))) {
      // A record without a file is nobody's file; the janitor removes it.
      await this.record(name, record);
      return await rename(from, path);
    }
    await rename(from, path);
    try {
      await this.record(name, record);
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    }
  }

  /** Makes an empty file under a new name, with a lease and, where the owner is known, a record. @returns its path */
  async create(name: string, owner: string | undefined): Promise<string> {
    const path = join(this.folder, pathOfName(name));
    await this.lease(name);
    await writeFile(path, '', { flag: 'wx' });
    try {
      if (owner !== undefined) await this.record(name, { owner });
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    }
    return path;
  }

  /** Writes what is kept beside a file, in one step. @throws FileNameError */
  async record(name: string, record: FileRecord): Promise<void> {
    const file = this.#recordFile(name);
    // Beside it, its own name would be too long where that of the file is as long as it may be.
    const written = join(this.uploads, `record-${randomUUID()}`);
    for (const folder of [this.uploads, dirname(file)]) await mkdir(folder, { recursive: true });
    try {
      await writeFile(written, JSON.stringify(record), { flag: 'wx' });
      await rename(written, file);
    } catch (error) {
      await rm(written, { force: true });
      throw error;
    }
  }

  #recordFile(name: string): string {
    return join(this.records, `${pathOfName(name)}.json`);
  }

  /** Takes or renews the lease on a file: the janitor leaves it alone for the next FILE_LEASE_MS. @throws FileNameError */
  async lease(name: string): Promise<void> {
    await mkdir(this.leases, { recursive: true });
    const lease = await open(this.#leaseFile(name), 'a');
    try {
      const now = new Date();
      await lease.utimes(now, now);
    } finally {
      await lease.close();
    }
  }

  /** Whether a running job uses the file. @throws FileNameError */
  async isLeased(name: string): Promise<boolean> {
    try {
      return (await lstat(this.#leaseFile(name))).mtimeMs > Date.now() - FILE_LEASE_MS;
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return false;
      throw error;
    }
  }

  #leaseFile(name: string): string {
    return join(this.leases, createHash('sha256').update(pathOfName(name)).digest('hex'));
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
}

function recordFrom(value: unknown): FileRecord {
  if (typeof value !== 'object' || value === null) return {};
  const text = (name: string) => {
    const found: unknown = Object.getOwnPropertyDescriptor(value, name)?.value;
    return typeof found === 'string' ? { [name]: found } : {};
  };
  const size = 'size' in value && typeof value.size === 'number' ? { size: value.size } : {};
  return { ...text('owner'), ...text('sha256'), ...text('etag'), ...size };
}

/** The error for a file that is not there, or that the caller may not see. */
export function noFile(): NotFoundError {
  return new NotFoundError('File not found');
}
