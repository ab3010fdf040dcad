/** A file that a worker delivers, in as many requests as the network needs. */
import { createHash, type Hash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, rm, stat } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { codeOf } from '../../shared/errors.ts';
import { hashOfFile } from '../../shared/file-digest.ts';
import { FileNameError, pathOfName } from '../../shared/file-name.ts';
import type { FileStore, OpenFile } from '../../shared/files.ts';
import { type Delivery, etagOf } from '../../shared/node-files.ts';
import { Refusal } from './refusal.ts';

/** A sender that is silent for longer is cut off, in milliseconds. */
const IDLE_MS = 30_000;

/** Bytes that wait for the disk before the sender is held back. */
const BUFFERED_BYTES = 1024 ** 2;

/**
 * Bytes lie in `uploads_tmp` under a name made of the file's name and its digest, and are written where they belong. So two requests of the
 * same delivery (one may be cut off and not know it yet) write the same bytes to the same places, whichever API process they reach.
 */
export class IncomingDelivery {
  readonly #store: FileStore;
  readonly #delivery: Delivery;
  readonly #part: string;

  /** @throws FileNameError */
  constructor(store: FileStore, delivery: Delivery) {
    const path = pathOfName(delivery.name);
    if (path === '')
      throw new FileNameError('file_name_refused', 'Invalid file name: expected the name of a file, got that of the files folder');
    this.#store = store;
    this.#delivery = delivery;
    const id = createHash('sha256').update(`${delivery.sha256} ${path}`).digest('hex');
    this.#part = join(store.uploads, `delivery-${id}`);
  }

  /** How many bytes have arrived; all of them, and the file's validator, once it is taken in. @throws Refusal 412: another file has its name */
  async progress(): Promise<{ offset: number; etag?: string }> {
    const { name, size } = this.#delivery;
    const file = await this.#store.openIfThere(name);
    if (file === undefined) return { offset: await this.#arrived() };
    try {
      if (!(await this.#isDelivered(file))) throw new Refusal('precondition_failed', `Another file has the name ${name}`);
      return { offset: size, etag: etagOf(file) };
    } finally {
      await file.handle.close();
    }
  }

  /** On a volume that the worker shares, the file is there before it is delivered, with a record that knows no digest. */
  async #isDelivered(file: OpenFile): Promise<boolean> {
    const { name, sha256, size, owner } = this.#delivery;
    if (file.size !== size) return false;
    const known = await this.#store.recordOf(name);
    if (known.sha256 !== undefined) return known.sha256 === sha256;
    if ((await hashOfFile(file.path)).digest('hex') !== sha256) return false;
    await this.#store.record(name, { ...(owner === '' ? {} : { owner }), sha256, size });
    return true;
  }

  async #arrived(): Promise<number> {
    try {
      return Math.min((await stat(this.#part)).size, this.#delivery.size);
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return 0;
      throw error;
    }
  }

  /**
   * Writes the bytes of a request, and takes the file in when they were the last ones. What has arrived before the request breaks off is kept.
   * @param offset where its first byte belongs
   * @throws Refusal 412 for an offset beyond what has arrived, bytes too many, or another digest: then nothing is kept; 408 for a silent sender
   */
  async take(request: IncomingMessage, offset: number): Promise<void> {
    const { size } = this.#delivery;
    const before = await this.progress();
    if (before.etag !== undefined) return;
    if (offset > before.offset) throw new Refusal('precondition_failed', `Expected bytes from ${before.offset} on, got ${offset}`);
    await mkdir(this.#store.uploads, { recursive: true });
    const hash = await hashOfFile(this.#part, offset);
    const part = await open(this.#part, constants.O_RDWR | constants.O_CREAT, 0o600);
    try {
      if ((await this.#write(request, part, offset, hash)) < size) return;
    } catch (error) {
      // A disk that is full is not to stay so, and of what does not fit nothing is worth keeping.
      const unfit = error instanceof Refusal && error.code === 'precondition_failed';
      if (codeOf(error) === 'ENOSPC' || codeOf(error) === 'EDQUOT' || unfit) await rm(this.#part, { force: true });
      throw error;
    } finally {
      await part.close().catch(() => {});
    }
    await this.#takeIn(hash.digest('hex'));
  }

  /** @returns where the next byte belongs */
  async #write(request: IncomingMessage, part: FileHandle, offset: number, hash: Hash): Promise<number> {
    const { size } = this.#delivery;
    const idle = setTimeout(() => request.destroy(new Refusal('body_slow', `No byte came for ${IDLE_MS / 1000} s`)), IDLE_MS);
    let end = offset;
    try {
      await pipeline(
        // What breaks off here leaves the request whole: what is left of it is drained, and its connection serves the next one.
        request.iterator({ destroyOnReturn: false }),
        async function* (chunks: AsyncIterable<Buffer>) {
          for await (const chunk of chunks) {
            idle.refresh();
            end += chunk.length;
            if (end > size) throw new Refusal('precondition_failed', `Expected ${size} bytes, got more`);
            hash.update(chunk);
            yield chunk;
          }
        },
        part.createWriteStream({ start: offset, highWaterMark: BUFFERED_BYTES }),
      );
    } finally {
      clearTimeout(idle);
    }
    return end;
  }

  async #takeIn(digest: string): Promise<void> {
    const { name, sha256, size, owner } = this.#delivery;
    if (digest !== sha256) {
      await rm(this.#part, { force: true });
      throw new Refusal('precondition_failed', `Expected a file with the SHA-256 ${sha256}, got ${digest}`);
    }
    try {
      await this.#store.adopt(this.#part, name, { ...(owner === '' ? {} : { owner }), sha256, size });
    } catch (error) {
      // Another request of this delivery was faster; `progress` tells.
      if (codeOf(error) !== 'ENOENT') throw error;
    }
  }
}
