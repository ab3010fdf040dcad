/** Keeps the files of running jobs from the janitor: renews their leases, from the one thread that no task can hold up. */
import { messageOf } from '../../shared/errors.ts';
import { FileNameError } from '../../shared/file-name.ts';
import { FILE_LEASE_MS, type FileStore } from '../../shared/files.ts';
import type { Logger } from '../../shared/logger.ts';

const RENEW_MS = FILE_LEASE_MS / 4;

/** Files of one job whose leases are renewed; those beyond have only the lease that they were taken with. */
const MAX_FILES_PER_JOB = 10_000;

export class FileLeases {
  readonly #store: Pick<FileStore, 'lease'>;
  readonly #log: Logger;
  readonly #names = new Map<string, Set<string>>();
  #timer: NodeJS.Timeout | undefined;

  constructor(store: Pick<FileStore, 'lease'>, log: Logger) {
    this.#store = store;
    this.#log = log;
  }

  start(): void {
    this.#timer ??= setInterval(() => void this.renew(), RENEW_MS).unref();
  }

  /** A running job uses a file. */
  keep(id: string, name: string): void {
    const names = this.#names.get(id) ?? new Set();
    this.#names.set(id, names);
    if (names.size < MAX_FILES_PER_JOB) names.add(name);
  }

  /** A job is over: its leases end by themselves. */
  drop(id: string): void {
    this.#names.delete(id);
  }

  /** Renews every lease, one after the other. Never rejects. */
  async renew(): Promise<void> {
    for (const [id, names] of [...this.#names]) {
      for (const name of names) {
        await this.#store.lease(name).catch((error: unknown) => {
          // What came from a thread may be anything; a disk may be well again at the next try.
          if (error instanceof FileNameError) names.delete(name);
          this.#log.warn({ jobId: id, reason: messageOf(error) }, 'file_lease.failed');
        });
      }
    }
  }

  /** Safe to call twice. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
