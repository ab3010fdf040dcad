/** Brings a file that a job has made to the master. */
import { createReadStream } from 'node:fs';
import { hashOfFile } from '../../shared/file-digest.ts';
import type { FileStore, OpenFile } from '../../shared/files.ts';
import { type Delivery, deliveryPath, OFFSET_HEADER } from '../../shared/node-files.ts';
import type { MasterApi } from './master-api.ts';
import { AnswerError, FutileError, persistently } from './persistence.ts';

/** Bytes of one read. */
const READ_BYTES = 256 * 1024;

export interface DeliveryOptions {
  api: MasterApi;
  store: FileStore;
  name: string;
  /** The account that the file belongs to; empty: nobody. */
  owner: string;
  signal: AbortSignal;
  /** Told of every failure that is followed by another try. */
  onFailure: (error: unknown) => void;
}

/**
 * Tries until the master has the whole file or the signal ends it. A file that the job has removed again is none to deliver.
 * @throws FutileError where the master has another file of this name, and what `persistently` gives up
 */
export async function deliverFile(options: DeliveryOptions): Promise<void> {
  const { store, name, owner, signal } = options;
  const file = await store.openIfThere(name);
  if (file === undefined) return;
  try {
    const sha256 = (await hashOfFile(file.path, file.size, signal)).digest('hex');
    const delivery = { name, owner, sha256, size: file.size };
    let reached = 0;
    const etag = await persistently(
      (progressed) =>
        attempt(options, delivery, file, (offset) => {
          if (offset > reached) progressed();
          reached = offset;
        }),
      signal,
      options.onFailure,
    );
    // From here on it is a copy of the master's.
    await store.record(name, { ...(owner === '' ? {} : { owner }), sha256, size: file.size, etag });
  } finally {
    await file.handle.close();
  }
}

/** Asks how far the delivery has come, and sends the rest. @returns the validator of the master's file */
async function attempt(
  { api, signal }: DeliveryOptions,
  delivery: Delivery,
  { path }: OpenFile,
  onOffset: (offset: number) => void,
): Promise<string> {
  const before = await progressOf(api, delivery, signal);
  if (before.etag !== undefined) return before.etag;
  onOffset(before.offset);
  const rest = delivery.size - before.offset;
  const body = rest === 0 ? undefined : createReadStream(path, { start: before.offset, end: delivery.size - 1, highWaterMark: READ_BYTES });
  const answer = await api.send({
    method: 'PUT',
    path: deliveryPath(delivery),
    headers: { 'content-length': rest, [OFFSET_HEADER]: before.offset },
    ...(body === undefined ? {} : { body }),
    signal,
  });
  answer.resume();
  if (answer.headers.etag === undefined) throw new Error(`the master has ${answer.headers[OFFSET_HEADER]} of ${delivery.size} bytes`);
  return answer.headers.etag;
}

async function progressOf(api: MasterApi, delivery: Delivery, signal: AbortSignal): Promise<{ offset: number; etag: string | undefined }> {
  try {
    const { headers } = (await api.send({ method: 'HEAD', path: deliveryPath(delivery), signal })).resume();
    const offset = Number(headers[OFFSET_HEADER] ?? Number.NaN);
    if (Number.isNaN(offset)) throw new FutileError(`${api.origin} is no FastTask API (MASTER_API_URL)`);
    return { offset, etag: headers.etag };
  } catch (error) {
    // The answer to HEAD has no text.
    if (error instanceof AnswerError && error.status === 412) throw new FutileError('the master has another file of this name');
    throw error;
  }
}
