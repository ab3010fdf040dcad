/** Brings a copy of a file of the master to this node, or leaves the one that is still the same. */
import { randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, rm, stat } from 'node:fs/promises';
import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { codeOf } from '../../shared/errors.ts';
import { hashOfFile } from '../../shared/file-digest.ts';
import { type FileRecord, type FileStore, noFile } from '../../shared/files.ts';
import { DIGEST_HEADER, fetchPath, OWNER_HEADER } from '../../shared/node-files.ts';
import type { MasterApi } from './master-api.ts';
import { AnswerError, FutileError, persistently } from './persistence.ts';

/** Bytes that wait for the disk before the master is held back. */
const BUFFERED_BYTES = 1024 ** 2;

/** How often bytes with a wrong digest are fetched again. */
const MOST_MISMATCHES = 2;

export interface FetchOptions {
  api: MasterApi;
  store: FileStore;
  name: string;
  signal: AbortSignal;
  /** Told of every failure that is followed by another try. */
  onFailure: (error: unknown) => void;
}

/**
 * Tries until the file is here or the signal ends it.
 * @throws NotFoundError where the master has no such file
 * @throws FutileError for bytes that do not fit the digest, and what `persistently` gives up
 */
export async function fetchFile(options: FetchOptions): Promise<void> {
  const fetch = new FileFetch(options);
  try {
    await persistently((progressed) => fetch.attempt(progressed), options.signal, options.onFailure);
  } finally {
    await fetch.discard();
  }
}

class FileFetch {
  readonly #options: FetchOptions;
  #part: string;
  /** What the master says of the file of which `part` is the beginning. */
  #coming: (FileRecord & { etag: string; size: number }) | undefined;
  #mismatches = 0;

  constructor(options: FetchOptions) {
    this.#options = options;
    this.#part = join(options.store.uploads, `fetch-${randomUUID()}`);
  }

  /** One request. What arrives of it is kept for the next one. */
  async attempt(progressed: () => void): Promise<void> {
    const { api, store, name, signal } = this.#options;
    const offset = this.#coming === undefined ? 0 : await sizeOf(this.#part);
    const answer = await this.#ask(offset);
    if (answer.statusCode === 304) return void answer.resume();
    const resumed = answer.statusCode === 206;
    if (!resumed) await this.#beginAnew(answer);
    const coming = this.#coming;
    if (coming === undefined) throw new FutileError(`${api.origin} sent a part of a file that nobody asked for`);
    await this.#write(answer, resumed ? offset : 0, progressed);
    const size = await sizeOf(this.#part);
    if (size !== coming.size) throw new Error(`expected ${coming.size} bytes, got ${size}`);
    await this.#check(coming, signal);
    await store.adopt(this.#part, name, coming);
  }

  async #ask(offset: number): Promise<IncomingMessage> {
    const { api, name, signal } = this.#options;
    try {
      return await api.send({ method: 'GET', path: fetchPath(name), headers: await this.#conditions(offset), signal });
    } catch (error) {
      // What has arrived is no beginning of what the master has now.
      if (error instanceof AnswerError && error.status === 416) this.#coming = undefined;
      if (error instanceof AnswerError && error.status === 404) throw noFile();
      throw error;
    }
  }

  async #conditions(offset: number): Promise<OutgoingHttpHeaders> {
    if (this.#coming !== undefined && offset > 0) return { range: `bytes=${offset}-`, 'if-range': this.#coming.etag };
    const { store, name } = this.#options;
    const etag = (await store.has(name)) ? (await store.recordOf(name)).etag : undefined;
    return etag === undefined ? {} : { 'if-none-match': etag };
  }

  /** The whole file comes: into a new part, because bytes of an earlier answer may still be on their way to the disk. */
  async #beginAnew({ headers }: IncomingMessage): Promise<void> {
    await this.discard();
    this.#part = join(this.#options.store.uploads, `fetch-${randomUUID()}`);
    await mkdir(this.#options.store.uploads, { recursive: true });
    const { etag, 'content-length': length } = headers;
    const [owner, sha256] = [headers[OWNER_HEADER], headers[DIGEST_HEADER]];
    if (etag === undefined || length === undefined)
      throw new FutileError(`${this.#options.api.origin} is no FastTask API (MASTER_API_URL)`);
    this.#coming = {
      etag,
      size: Number(length),
      ...(typeof owner === 'string' ? { owner: decodeURIComponent(owner) } : {}),
      ...(typeof sha256 === 'string' ? { sha256 } : {}),
    };
  }

  async #write(answer: IncomingMessage, offset: number, progressed: () => void): Promise<void> {
    const out = createWriteStream(this.#part, { flags: offset === 0 ? 'w' : 'r+', start: offset, highWaterMark: BUFFERED_BYTES });
    answer.once('data', progressed);
    await pipeline(answer, out, { signal: this.#options.signal });
  }

  async #check({ sha256 }: FileRecord, signal: AbortSignal): Promise<void> {
    if (sha256 === undefined) return;
    const digest = (await hashOfFile(this.#part, undefined, signal)).digest('hex');
    if (digest === sha256) return;
    this.#mismatches += 1;
    this.#coming = undefined;
    const reason = `expected bytes with the SHA-256 ${sha256}, got ${digest}`;
    throw this.#mismatches >= MOST_MISMATCHES ? new FutileError(reason) : new Error(reason);
  }

  /** Leaves nothing on the disk. */
  async discard(): Promise<void> {
    await rm(this.#part, { force: true });
  }
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return 0;
    throw error;
  }
}
