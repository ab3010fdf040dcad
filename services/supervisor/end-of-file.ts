import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** The last bytes of a file that may have grown for months, as text. @throws Error of the system where it cannot be read */
export function endOfFile(file: string, bytes: number): string {
  const handle = openSync(file, 'r');
  try {
    const { size } = fstatSync(handle);
    const buffer = Buffer.alloc(Math.min(size, bytes));
    readSync(handle, buffer, 0, buffer.length, size - buffer.length);
    return buffer.toString('utf8');
  } finally {
    closeSync(handle);
  }
}
