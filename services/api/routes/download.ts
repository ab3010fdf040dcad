import type { FileHandle } from 'node:fs/promises';
import send from 'send';
import { NotFoundError, ValidationError } from '../../../shared/errors.ts';
import { FileStore, type OpenFile } from '../../../shared/files.ts';
import { etagOf } from '../../../shared/node-files.ts';
import { asked } from '../asked.ts';
import type { Backend } from '../backend.ts';
import { sees, seesAll } from '../caller.ts';
import { Refusal } from '../refusal.ts';
import type { Context, Route } from '../route.ts';

/** `GET /download?file_name=NAME`: a file, or ranges of it. HEAD works. */
export function downloadRoute({ config }: Pick<Backend, 'config'>): Route {
  const store = new FileStore(config.dirs.files);
  return {
    method: 'GET',
    path: '/download',
    head: true,
    audit: 'file.downloaded',
    async handle(ctx) {
      const name = askedName(ctx);
      const file = await store.open(name);
      try {
        const { caller } = ctx.state;
        if (!seesAll(caller) && !sees(caller, await store.owner(name))) throw new NotFoundError('File not found');
        ctx.state.audited = { file: name };
        await sendFile(ctx, name, file);
      } finally {
        await file.handle.close();
      }
    },
  };
}

/** The query's file_name. @throws ValidationError */
export function askedName(ctx: Context): string {
  const name = asked(ctx, 'file_name');
  if (name !== undefined) return name;
  throw new ValidationError([{ type: 'missing', loc: ['query', 'file_name'], msg: 'Field required', input: null }]);
}

/** Answers with the file, and settles when the answer has left or the client has. @throws Refusal 412, 416 */
export async function sendFile(ctx: Context, name: string, file: OpenFile): Promise<void> {
  const { handle, path } = file;
  ctx.attachment(name);
  if (ctx.type === '') ctx.type = 'application/octet-stream';
  ctx.set({
    etag: etagOf(file),
    'cache-control': 'private, no-cache',
    // What a client has uploaded never runs as a page of this server.
    'content-security-policy': 'sandbox',
  });
  // `send` takes what is set for its own, and answers 304 only where the status is not Koa's 404.
  ctx.status = 200;
  ctx.respond = false;
  try {
    await piped(ctx, path, handle);
  } catch (error) {
    if (ctx.headerSent) return void ctx.res.destroy();
    ctx.respond = true;
    throw refusalOf(ctx, error);
  }
}

/** Bytes of one read: four times Node's own, for a file that is read in order. */
const READ_BYTES = 256 * 1024;

/** @param handle read instead of what lies at the path by then; closed with the answer */
function piped({ req, res }: Context, path: string, handle: FileHandle): Promise<void> {
  // All of them reach the stream that `send` makes.
  const options = { cacheControl: false, dotfiles: 'allow', index: false, fd: handle, highWaterMark: READ_BYTES } as const;
  return new Promise((resolve, reject) => {
    res.once('close', resolve);
    send(req, encodeURIComponent(path), options).on('error', reject).pipe(res);
  });
}

/** What of a file's headers does not belong to the answer that there is none. */
const OF_FILE = ['accept-ranges', 'cache-control', 'content-disposition', 'content-length', 'content-range', 'etag', 'last-modified'];

function refusalOf(ctx: Context, error: unknown): unknown {
  const range = ctx.response.get('content-range');
  for (const header of OF_FILE) ctx.remove(header);
  const status = error instanceof Error && 'status' in error ? error.status : undefined;
  if (status === 404) return new NotFoundError('File not found');
  if (status === 412) return new Refusal('precondition_failed', 'The file is not the one that the request expects');
  if (status === 416)
    return new Refusal('range_not_satisfiable', 'The file has no bytes in this range', {
      'content-range': range,
      'accept-ranges': 'bytes',
    });
  return error;
}
