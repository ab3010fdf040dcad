/** The paths of files in the OpenAPI document. */
import type { Config } from '../../shared/config.ts';
import { always, errors, withBody } from './openapi-responses.ts';

const tags = ['File Management'];
const binary = { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } };
const header = (type: string, description: string) => ({ schema: { type }, description });

const upload = {
  tags,
  operationId: 'upload',
  summary: 'Upload a file for tasks',
  requestBody: {
    required: true,
    content: {
      'multipart/form-data': {
        schema: { type: 'object', required: ['file'], properties: { file: { type: 'string', format: 'binary' } } },
      },
    },
  },
  responses: {
    '200': {
      description: 'The file is stored; tasks and /download know it by this name.',
      headers: { 'x-content-sha256': header('string', 'The SHA-256 of the file, in hexadecimal digits.') },
      content: {
        'application/json': {
          schema: { type: 'object', required: ['file_name'], properties: { file_name: { type: 'string' } } },
          example: { file_name: '0b0f1d0e-2f57-4f5e-9a52-3a0c6f1f9b7e_words.txt' },
        },
      },
    },
    ...always,
    ...withBody,
    ...errors(507),
  },
};

const sent = {
  'content-disposition': header('string', '`attachment` with the name.'),
  etag: header('string', 'For If-None-Match, If-Match and If-Range.'),
  'accept-ranges': header('string', '`bytes`.'),
};

const download = {
  tags,
  operationId: 'download',
  summary: 'Download a file',
  parameters: [
    { name: 'file_name', in: 'query', required: true, description: 'As /upload or a result gave it.', schema: { type: 'string' } },
    { name: 'Range', in: 'header', schema: { type: 'string', pattern: '^bytes=' } },
  ],
  responses: {
    '200': { description: 'The file.', headers: sent, content: binary },
    '206': { description: 'A range of the file.', headers: { ...sent, 'content-range': header('string', 'Which one.') }, content: binary },
    '304': { description: 'The client has this file already.' },
    ...always,
    ...errors(400, 404, 412, 416),
  },
};

/** /upload and /download, where they are served. */
export function filePaths(serves: Config['api']['serves']): Record<string, unknown> {
  return {
    ...(serves.upload ? { '/upload': { post: upload } } : {}),
    ...(serves.download ? { '/download': { get: download } } : {}),
  };
}
