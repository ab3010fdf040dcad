/** Files of a master whose FILES_DIR this worker does not share: fetched for jobs, delivered after them. */
import { messageOf, NotFoundError } from '../../shared/errors.ts';
import type { FileStore } from '../../shared/files.ts';
import type { Logger } from '../../shared/logger.ts';
import { withoutFolder } from './failure-text.ts';
import { deliverFile } from './file-delivery.ts';
import { fetchFile } from './file-fetch.ts';
import type { MasterApi } from './master-api.ts';
import type { FetchAnswer } from './thread-protocol.ts';

/** A file on its way, and the jobs that wait for it. */
interface Fetching {
  readonly done: Promise<void>;
  readonly jobs: Set<string>;
  readonly abort: AbortController;
}

export class RemoteFiles {
  readonly #api: MasterApi;
  readonly #store: FileStore;
  readonly #log: Logger;
  readonly #fetching = new Map<string, Fetching>();

  constructor(api: MasterApi, store: FileStore, log: Logger) {
    this.#api = api;
    this.#store = store;
    this.#log = log;
  }

  /** Brings a file here, once for all jobs that ask at the same time, and tells how that went. Never rejects. */
  async fetch(id: string, name: string): Promise<FetchAnswer> {
    let fetching = this.#fetching.get(name);
    if (fetching === undefined || fetching.abort.signal.aborted) {
      fetching = this.#begin(name);
      this.#fetching.set(name, fetching);
    }
    fetching.jobs.add(id);
    try {
      await fetching.done;
      return { name };
    } catch (error) {
      if (error instanceof NotFoundError) return { name, missing: true };
      return { name, reason: `the file could not be fetched from ${this.#api.origin}: ${this.#told(error)}` };
    }
  }

  #begin(name: string): Fetching {
    const abort = new AbortController();
    const began = performance.now();
    const onFailure = (error: unknown) => this.#log.warn({ file: name, reason: messageOf(error) }, 'file.fetch_retried');
    const done = fetchFile({ api: this.#api, store: this.#store, name, signal: abort.signal, onFailure })
      .then(() => this.#log.debug({ file: name, durationMs: Math.round(performance.now() - began) }, 'file.fetched'))
      .finally(() => {
        if (this.#fetching.get(name)?.abort === abort) this.#fetching.delete(name);
      });
    return { done, jobs: new Set(), abort };
  }

  /** A job is over: what nobody else waits for is given up. */
  drop(id: string): void {
    for (const { jobs, abort } of this.#fetching.values()) {
      if (jobs.delete(id) && jobs.size === 0) abort.abort();
    }
  }

  /** Brings the files that a job has made to the master. @throws Error with the name and the reason, for a client's eyes */
  async deliver(names: readonly string[], owner: string, signal: AbortSignal): Promise<void> {
    for (const name of names) {
      const onFailure = (error: unknown) => this.#log.warn({ file: name, reason: messageOf(error) }, 'file.delivery_retried');
      try {
        await deliverFile({ api: this.#api, store: this.#store, name, owner, signal, onFailure });
        this.#log.debug({ file: name }, 'file.delivered');
      } catch (error) {
        throw new Error(`the file ${name} could not be delivered to ${this.#api.origin}: ${this.#told(error)}`);
      }
    }
  }

  /** What a client may see of an error: one of the disk names a path. */
  #told(error: unknown): string {
    return withoutFolder(messageOf(error), this.#store.folder);
  }

  /** Gives everything up and closes every connection. Safe to call twice. */
  stop(): void {
    for (const { abort } of this.#fetching.values()) abort.abort();
    this.#api.stop();
  }
}
