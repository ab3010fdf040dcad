/** Reads the file of a multipart body onto the disk while it arrives. The only module that knows koa-body and formidable. */
import type { IncomingMessage } from 'node:http';
import type { Stream } from 'node:stream';
import { codeOf, FastTaskError } from '../../shared/errors.ts';
import { partDisposition } from './content-disposition.ts';
import { IncomingFile } from './incoming-file.ts';
import { Refusal } from './refusal.ts';
import type { Context } from './route.ts';
import { fileProblem, missingFile, uploadName } from './upload-name.ts';

/** Parts of one body. */
const MAX_PARTS = 16;
/** Bytes of a part that is no file of ours: it is not kept. */
const MAX_FIELD_BYTES = 64 * 1024;
/** Bytes outside of parts' contents (headers, boundaries, what lies around them): 16 KiB for each part. */
const MAX_FRAME_BYTES = MAX_PARTS * 16 * 1024;
/** A sender that is silent for longer is cut off, in milliseconds. */
const IDLE_MS = 30_000;

export interface UploadLimits {
  /** Where the file lies while it arrives; must exist. */
  folder: string;
  /** Largest file in bytes. */
  maxBytes: number;
}

/** A file that has arrived whole. */
export interface Upload {
  /** The last part of the name that the client gave. */
  name: string;
  file: IncomingFile;
}

/**
 * Receives the part `file` of a multipart body; of several the last one. Whatever fails, nothing of it is left on the disk.
 * @throws Refusal 400 (malformed, cut off), 413 (too large, too many parts), 415 (compressed), 507 (the disk is full)
 * @throws ValidationError 422 (no file, or a name that does not fit), FileNameError 400, 403
 */
export async function receiveUpload(ctx: Context, limits: UploadLimits): Promise<Upload> {
  checkHead(ctx, limits.maxBytes);
  // Loaded with the first upload: they are large, and many a process never sees one.
  const [{ koaBody }, { multipart }] = await Promise.all([import('koa-body'), import('formidable')]);
  const reader = new UploadReader(ctx.req, limits);
  const parse = koaBody({
    multipart: true,
    json: false,
    urlencoded: false,
    text: false,
    patchKoa: false,
    formidable: {
      // One character for each byte, so that a name whose bytes arrive in two pieces is not damaged.
      encoding: 'binary',
      // The others would answer to a boundary with their name in it, and one of them keeps the body in memory.
      enabledPlugins: [multipart, (form) => void form.on('progress', (received: number) => reader.progressed(received))],
      onPart: (part) => reader.takePart(part),
    },
  });
  try {
    await parse(ctx, async () => {});
    return await reader.lastFile();
  } catch (error) {
    await reader.discard();
    throw error;
  } finally {
    reader.stop();
  }
}

/** Refuses what can be refused before a byte of the body is read. */
function checkHead(ctx: Context, maxBytes: number): void {
  const encoding = ctx.get('content-encoding');
  if (encoding !== '' && encoding.toLowerCase() !== 'identity') {
    throw new Refusal('encoding_unsupported', `The body must not be compressed, but content-encoding says ${encoding}`);
  }
  if (!ctx.is('multipart')) throw missingFile();
  if (!/boundary=(?:"[^"]+"|[^;]+)/i.test(ctx.get('content-type'))) {
    throw new Refusal('multipart_invalid', 'Missing boundary in multipart.');
  }
  if (Number(ctx.get('content-length')) > maxBytes + MAX_FRAME_BYTES + MAX_PARTS * MAX_FIELD_BYTES) throw tooLarge(maxBytes);
}

class UploadReader {
  readonly #request: IncomingMessage;
  readonly #limits: UploadLimits;
  readonly #idle: NodeJS.Timeout;
  #files: Upload[] = [];
  #parts = 0;
  /** A part `file` without a file name came. */
  #nameless = false;
  /** Bytes of the body, and those of them that were the contents of parts. */
  #received = 0;
  #contents = 0;
  #failure: Error | undefined;

  constructor(request: IncomingMessage, limits: UploadLimits) {
    this.#request = request;
    this.#limits = limits;
    this.#idle = setTimeout(() => this.#onIdle(), IDLE_MS);
  }

  #onIdle(): void {
    // Held back by the disk, it is not the sender who is slow.
    if (this.#request.isPaused()) this.#idle.refresh();
    else this.#request.destroy();
  }

  /** Bytes have come and are parsed next: what came before must lie within parts. @param received bytes of the body so far */
  progressed(received: number): void {
    this.#idle.refresh();
    if (this.#received - this.#contents > MAX_FRAME_BYTES)
      this.#fail(new Refusal('body_too_large', 'The headers of the parts are too long'));
    this.#received = received;
  }

  /** Must not throw: formidable does not expect it. */
  takePart(part: Stream): void {
    part.on('data', (chunk: Buffer) => {
      this.#contents += chunk.length;
    });
    if (this.#failure !== undefined) return;
    this.#parts += 1;
    if (this.#parts > MAX_PARTS) return this.#fail(new Refusal('body_too_large', `The body may have at most ${MAX_PARTS} parts`));
    try {
      const disposition = partDisposition(dispositionHeader(part));
      if (disposition === undefined) throw fileProblem('the file name must be UTF-8', null);
      const { name, fileName } = disposition;
      if (name === 'file' && fileName) this.#takeFile(part, uploadName(fileName));
      else this.#ignore(part, name === 'file');
    } catch (error) {
      this.#fail(error);
    }
  }

  #takeFile(part: Stream, name: string): void {
    const { folder, maxBytes } = this.#limits;
    const file = new IncomingFile(folder);
    this.#files.push({ name, file });
    file.written.catch((error: unknown) => this.#fail(error));
    const resume = () => this.#request.resume();
    part.on('data', (chunk: Buffer) => {
      if (this.#failure !== undefined) return;
      if (file.size + chunk.length > maxBytes) return this.#fail(tooLarge(maxBytes));
      if (!file.write(chunk, resume)) this.#request.pause();
    });
    part.on('end', () => file.end());
  }

  #ignore(part: Stream, nameless: boolean): void {
    this.#nameless ||= nameless;
    let size = 0;
    part.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > MAX_FIELD_BYTES)
        this.#fail(new Refusal('body_too_large', `A part that is no file may have at most ${MAX_FIELD_BYTES} bytes`));
    });
  }

  #fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = error instanceof Error ? error : new Error(String(error));
    // formidable takes an error of the request for its own: it parses nothing more, and the parsing fails with it.
    if (this.#request.listenerCount('error') > 0) this.#request.emit('error', this.#failure);
  }

  /** The file that counts; earlier ones are removed. @throws ValidationError when there is none */
  async lastFile(): Promise<Upload> {
    await Promise.all(this.#files.map(({ file }) => file.written));
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#nameless) throw fileProblem('expected a file, got a part without a file name', null);
    const last = this.#files.pop();
    if (last === undefined) throw missingFile();
    await this.discard();
    return last;
  }

  /** Removes what has arrived. */
  async discard(): Promise<void> {
    this.#failure ??= new Error('discarded');
    await Promise.all(this.#files.map(({ file }) => file.discard()));
    this.#files = [];
  }

  stop(): void {
    clearTimeout(this.#idle);
  }
}

function dispositionHeader(part: Stream): string {
  const headers = 'headers' in part && typeof part.headers === 'object' ? part.headers : undefined;
  if (headers === undefined || headers === null || !('content-disposition' in headers)) return '';
  return String(headers['content-disposition']);
}

function tooLarge(maxBytes: number): Refusal {
  return new Refusal('body_too_large', `The file may have at most ${maxBytes} bytes`);
}

/** Errors of the disk that mean that it is full, by its size or by a quota. */
const FULL: readonly unknown[] = ['ENOSPC', 'EDQUOT', 'EFBIG'];

/** What the client is told of what `receiveUpload` throws, and of errors of the disk that come after the body. */
export function refusalOf(error: unknown): unknown {
  if (error instanceof FastTaskError || !(error instanceof Error)) return error;
  const code = codeOf(error);
  if (FULL.includes(code)) return new Refusal('disk_full', 'There is no room left for files on this server');
  const ofSender = 'httpCode' in error || code === 'ECONNRESET';
  return ofSender ? new Refusal('multipart_invalid', 'There was an error parsing the body') : error;
}
