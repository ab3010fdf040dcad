/** Uploads and downloads: multipart bodies with one fault, and names that lead elsewhere. */
import fc, { type Arbitrary } from 'fast-check';
import { headersOfGet } from './headers.ts';
import type { ApiRequest } from './request.ts';

const NAMES = [
  'a.txt',
  'ä ö.txt',
  '..',
  '../x',
  '/etc/passwd',
  '\\x',
  'a/b',
  'fasttask/conf',
  'fasttask.txt',
  '',
  'a\u0000b',
  'a\r\nx: y',
  'x'.repeat(300),
  '%2e%2e%2f',
  'con',
  '.',
  '"',
  "a;b='c'",
];

const names = fc.oneof(fc.constantFrom(...NAMES), fc.string({ maxLength: 20 }), fc.string({ unit: 'binary', maxLength: 20 }));

const BOUNDARY = 'fuzz';

/** What is done to a form; each takes the part's headers, its content and gives the whole body. */
const FORMS: readonly ((head: string, content: string) => string)[] = [
  (head, content) => `--${BOUNDARY}\r\n${head}\r\n\r\n${content}\r\n--${BOUNDARY}--\r\n`,
  (head, content) => `--${BOUNDARY}\r\n${head}\r\n\r\n${content}`,
  (head, content) => `--${BOUNDARY}\n${head}\n\n${content}\n--${BOUNDARY}--`,
  (head, content) => `--other\r\n${head}\r\n\r\n${content}\r\n--other--\r\n`,
  (head, content) => `${`--${BOUNDARY}\r\n${head}\r\n\r\n${content}\r\n`.repeat(20)}--${BOUNDARY}--\r\n`,
  (head) => `--${BOUNDARY}\r\n${head}\r\n${'x: y\r\n'.repeat(2000)}`,
  (_head, content) => `--${BOUNDARY}\r\n\r\n${content}\r\n--${BOUNDARY}--\r\n`,
  () => `--${BOUNDARY}--\r\n`,
  (_head, content) => content,
  () => '',
];

const TYPES = [
  `multipart/form-data; boundary=${BOUNDARY}`,
  'multipart/form-data',
  'multipart/form-data; boundary=',
  'multipart/mixed; boundary=fuzz',
  'application/json',
  '',
];

/** Requests to /upload and /download. */
export function fileRequests(): { upload: Arbitrary<ApiRequest>; download: Arbitrary<ApiRequest> } {
  const part = fc
    .tuple(fc.constantFrom('file', 'file', 'other', '__proto__', ''), names)
    .map(([field, name]) => `content-disposition: form-data; name="${field}"; filename="${name}"`);
  const type = fc.oneof({ weight: 6, arbitrary: fc.constant(TYPES[0] ?? '') }, { weight: 1, arbitrary: fc.constantFrom(...TYPES) });
  const form = fc.oneof({ weight: 1, arbitrary: fc.constant(FORMS[0]) }, { weight: 1, arbitrary: fc.constantFrom(...FORMS) });
  return {
    upload: fc.tuple(part, form, type, fc.string({ unit: 'binary' })).map(([head, make, contentType, content]) => ({
      kind: 'upload',
      method: 'POST',
      path: '/upload',
      headers: { 'content-type': contentType },
      body: make?.(head, content) ?? '',
    })),
    download: fc
      .tuple(
        fc.oneof(fc.constant('{file}'), names.map(encodeURIComponent)),
        fc.constantFrom('GET', 'HEAD'),
        fc.constantFrom('file_name', 'file_name', 'file_name', 'file', 'file_name=x&file_name'),
        headersOfGet(),
      )
      .map(([name, method, field, { fields }]) => ({ kind: 'download', method, path: `/download?${field}=${name}`, headers: fields })),
  };
}
