import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';

/** Bytes of one read. */
const READ_BYTES = 1024 ** 2;

/** SHA-256 of the first bytes of a file, read in pieces: further bytes may be added before the digest is taken. @param bytes all when left out */
export async function hashOfFile(path: string, bytes = Number.POSITIVE_INFINITY, signal?: AbortSignal): Promise<Hash> {
  const hash = createHash('sha256');
  if (bytes === 0) return hash;
  const options = { end: bytes - 1, highWaterMark: READ_BYTES, ...(signal === undefined ? {} : { signal }) };
  for await (const chunk of createReadStream(path, options)) hash.update(chunk);
  return hash;
}
