import { createHash, randomUUID } from 'node:crypto';
import { createWriteStream, type WriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';

/** Bytes that wait for the disk before the sender is held back. */
const BUFFERED_BYTES = 1024 ** 2;

/** A file that is being received: its bytes go to the disk and into a digest as they come. */
export class IncomingFile {
  /** Where it lies until it is whole. */
  readonly path: string;
  /** Bytes so far. */
  size = 0;
  /** Settles when everything is written; rejects with the error of the disk. */
  readonly written: Promise<void>;
  readonly #out: WriteStream;
  readonly #hash = createHash('sha256');

  /** @param folder must exist */
  constructor(folder: string) {
    this.path = join(folder, randomUUID());
    this.#out = createWriteStream(this.path, { flags: 'wx', highWaterMark: BUFFERED_BYTES });
    this.written = finished(this.#out);
    // Whoever waits for it learns of a failure; one that comes before is no unhandled one.
    this.written.catch(() => {});
  }

  /** Takes bytes. @param onRoom called once there is room again, when the disk is slower than the sender @returns whether there is room */
  write(chunk: Uint8Array, onRoom: () => void): boolean {
    this.size += chunk.length;
    this.#hash.update(chunk);
    const room = this.#out.write(chunk);
    if (!room) this.#out.once('drain', onRoom);
    return room;
  }

  /** Nothing more will come. */
  end(): void {
    this.#out.end();
  }

  /** In hexadecimal digits. Once only, after the end. */
  sha256(): string {
    return this.#hash.digest('hex');
  }

  /** Leaves nothing on the disk. Safe to call twice. */
  async discard(): Promise<void> {
    // The file may not be made yet: it is removed after the stream has closed.
    if (!this.#out.closed) await new Promise<void>((resolve) => void this.#out.once('close', () => resolve()).destroy());
    await rm(this.path, { force: true });
  }
}
