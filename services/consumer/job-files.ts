/** `ctx.files`: the files that a job reads and makes. */
import { randomUUID } from 'node:crypto';
import { NotFoundError } from '../../shared/errors.ts';
import { FileStore, noFile } from '../../shared/files.ts';
import type { TaskFiles } from '../../shared/task.ts';
import type { FetchAnswer, JobRequest, ThreadMessage, ThreadOutcome, ThreadSettings } from './thread-protocol.ts';

const EXTENSION = /^[A-Za-z0-9]+(\.[A-Za-z0-9]+)*$/;
const MAX_EXTENSION = 32;

type Job = Pick<JobRequest, 'id' | 'task' | 'owner' | 'ownFilesOnly'>;
type Folder = Pick<ThreadSettings, 'filesDir' | 'remoteFiles'>;

/** A file of the master could not be brought to this node. */
class FileUnavailableError extends Error {
  override readonly name = 'FileUnavailableError';
}

/** A fetch that was asked for. */
interface Waiting {
  readonly answer: Promise<FetchAnswer>;
  readonly resolve: (answer: FetchAnswer) => void;
  readonly reject: (reason: unknown) => void;
}

export class JobFiles implements TaskFiles {
  readonly #job: Job;
  readonly #store: FileStore;
  readonly #remote: boolean;
  readonly #send: (message: ThreadMessage) => void;
  readonly #signal: AbortSignal;
  readonly #made: string[] = [];
  /** By name. */
  readonly #waiting = new Map<string, Waiting>();

  /**
   * @param send tells the consumer, which renews the leases that are taken here and fetches files
   * @param signal ends waits for files
   */
  constructor(job: Job, { filesDir, remoteFiles }: Folder, send: (message: ThreadMessage) => void, signal: AbortSignal) {
    this.#job = job;
    this.#store = new FileStore(filesDir);
    this.#remote = remoteFiles;
    this.#send = send;
    this.#signal = signal;
    signal.addEventListener('abort', () => {
      for (const { reject } of this.#waiting.values()) reject(signal.reason);
    });
  }

  async path(name: string): Promise<string> {
    if (this.#remote && (await this.#isOfMaster(name))) await this.#fetch(name);
    await this.#look(name);
    await this.#use(name);
    // Looked at again: the janitor may have been faster than the lease.
    return await this.#look(name);
  }

  /** Takes a lease, which the consumer renews from now on. */
  async #use(name: string): Promise<void> {
    await this.#store.lease(name);
    this.#send({ type: 'file', id: this.#job.id, name });
  }

  /** Whether the master is asked: not for a file that lies here and is no copy of the master's. */
  async #isOfMaster(name: string): Promise<boolean> {
    return !(await this.#store.has(name)) || (await this.#store.recordOf(name)).etag !== undefined;
  }

  async #fetch(name: string): Promise<void> {
    // The lease keeps a copy that is here already.
    await this.#use(name);
    // A job that is to save what it can need not ask whether its input is still the same.
    if (this.#signal.aborted) return await this.#expectHere(name);
    let waiting = this.#waiting.get(name);
    if (waiting === undefined) {
      let settle: Pick<Waiting, 'resolve' | 'reject'> = { resolve: () => {}, reject: () => {} };
      const answer = new Promise<FetchAnswer>((resolve, reject) => {
        settle = { resolve, reject };
      });
      waiting = { answer, ...settle };
      this.#waiting.set(name, waiting);
      this.#send({ type: 'fetch', id: this.#job.id, name });
    }
    const { missing, reason } = await waiting.answer;
    if (missing) throw noFile();
    if (reason !== undefined) throw new FileUnavailableError(reason);
  }

  /** @throws the signal's reason where the file is not here, because nothing is fetched any more */
  async #expectHere(name: string): Promise<void> {
    try {
      await (await this.#store.open(name)).handle.close();
    } catch (error) {
      throw error instanceof NotFoundError ? this.#signal.reason : error;
    }
  }

  /** The consumer's answer to a fetch. */
  take(answer: FetchAnswer): void {
    this.#waiting.get(answer.name)?.resolve(answer);
    this.#waiting.delete(answer.name);
  }

  /** @returns the path of a file that this job may read. @throws NotFoundError, FileNameError */
  async #look(name: string): Promise<string> {
    const { handle, path } = await this.#store.open(name);
    await handle.close();
    if (this.#job.ownFilesOnly && (await this.#store.owner(name)) !== this.#job.owner) throw noFile();
    return path;
  }

  async create(extension: string): Promise<{ name: string; path: string }> {
    const bare = extension.replace(/^\./, '');
    if (bare !== '' && (bare.length > MAX_EXTENSION || !EXTENSION.test(bare))) {
      throw new TypeError(`expected an extension of letters and digits, such as csv or tar.gz, got ${JSON.stringify(extension)}`);
    }
    const name = `${randomUUID()}_${this.#job.task}${bare === '' ? '' : `.${bare}`}`;
    const path = await this.#store.create(name, this.#job.owner === '' ? undefined : this.#job.owner);
    this.#made.push(name);
    this.#send({ type: 'file', id: this.#job.id, name });
    return { name, path };
  }

  /** Adds the files that are to be delivered to the outcome of a job that has succeeded. */
  complete(outcome: ThreadOutcome): ThreadOutcome {
    return 'json' in outcome && this.#remote && this.#made.length > 0 ? { ...outcome, files: this.#made } : outcome;
  }
}
