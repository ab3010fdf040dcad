import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { FileStore } from '../../../shared/files.ts';
import type { Backend } from '../backend.ts';
import { answerJson, type Context, type Route } from '../route.ts';
import { receiveUpload, refusalOf } from '../upload-body.ts';

/** `POST /upload`: stores the part `file` of a multipart body under a name of its own. Credentials come before the body. */
export function uploadRoute({ config }: Pick<Backend, 'config'>): Route {
  const store = new FileStore(config.dirs.files);
  return {
    method: 'POST',
    path: '/upload',
    changes: true,
    audit: 'file.uploaded',
    async handle(ctx) {
      try {
        await storeUpload(ctx, store, config.api.uploadMaxBytes);
      } catch (error) {
        throw refusalOf(error);
      }
    },
  };
}

async function storeUpload(ctx: Context, store: FileStore, maxBytes: number): Promise<void> {
  await mkdir(store.uploads, { recursive: true });
  const { name, file } = await receiveUpload(ctx, { folder: store.uploads, maxBytes });
  const fileName = `${randomUUID()}_${name}`;
  const sha256 = file.sha256();
  try {
    await store.adopt(file.path, fileName, { owner: ctx.state.caller.name, sha256, size: file.size });
  } finally {
    await file.discard();
  }
  ctx.set('x-content-sha256', sha256);
  ctx.state.audited = { file: fileName, size: file.size };
  answerJson(ctx, JSON.stringify({ file_name: fileName }));
}
