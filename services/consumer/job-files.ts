/** `ctx.files`: the files that a job reads and makes. */
import { randomUUID } from 'node:crypto';
import { FileStore, noFile } from '../../shared/files.ts';
import type { TaskFiles } from '../../shared/task.ts';
import type { JobRequest, ThreadMessage } from './thread-protocol.ts';

const EXTENSION = /^[A-Za-z0-9]+(\.[A-Za-z0-9]+)*$/;
const MAX_EXTENSION = 32;

type Job = Pick<JobRequest, 'id' | 'task' | 'owner' | 'ownFilesOnly'>;

export class JobFiles implements TaskFiles {
  readonly #job: Job;
  readonly #store: FileStore;
  readonly #send: (message: ThreadMessage) => void;

  /** @param send tells the consumer, which renews the leases that are taken here */
  constructor(job: Job, filesDir: string, send: (message: ThreadMessage) => void) {
    this.#job = job;
    this.#store = new FileStore(filesDir);
    this.#send = send;
  }

  async path(name: string): Promise<string> {
    await this.#look(name);
    await this.#store.lease(name);
    // Looked at again: the janitor may have been faster than the lease.
    const path = await this.#look(name);
    this.#send({ type: 'file', id: this.#job.id, name });
    return path;
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
    this.#send({ type: 'file', id: this.#job.id, name });
    return { name, path };
  }
}
