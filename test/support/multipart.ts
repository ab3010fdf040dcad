/** Multipart bodies byte by byte, as clients of every kind write them. */

const BOUNDARY = '------------------------d74496d66958873e';

export interface RawPart {
  /** What follows `form-data` in the part's content-disposition. */
  disposition: string;
  content?: string | Uint8Array;
  /** More header lines. */
  headers?: readonly string[];
}

/** A body and the headers that go with it. */
export function multipartBody(parts: readonly RawPart[], boundary = BOUNDARY): { body: Buffer; headers: Record<string, string> } {
  const pieces = parts.flatMap(({ disposition, content = '', headers = [] }) => [
    Buffer.from([`--${boundary}`, `Content-Disposition: form-data${disposition}`, ...headers, '', ''].join('\r\n')),
    Buffer.from(content),
    Buffer.from('\r\n'),
  ]);
  const body = Buffer.concat([...pieces, Buffer.from(`--${boundary}--\r\n`)]);
  return { body, headers: { 'content-type': `multipart/form-data; boundary=${boundary}` } };
}

/** The part `file` with this file name, quoted as it is. */
export function filePart(name: string, content: string | Uint8Array = 'content'): RawPart {
  return { disposition: `; name="file"; filename="${name}"`, content };
}
