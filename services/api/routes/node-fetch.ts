import type { FileStore } from '../../../shared/files.ts';
import { DIGEST_HEADER, OWNER_HEADER } from '../../../shared/node-files.ts';
import type { Context } from '../route.ts';
import { askedName, sendFile } from './download.ts';

/** `GET /nodes/file?file_name=NAME`: any file, with whose it is and its digest. */
export function nodeFetch(store: FileStore) {
  return {
    async GET(ctx: Context): Promise<void> {
      const name = askedName(ctx);
      const file = await store.open(name);
      try {
        const { owner, sha256, size } = await store.recordOf(name);
        if (owner !== undefined) ctx.set(OWNER_HEADER, encodeURIComponent(owner));
        if (sha256 !== undefined && size === file.size) ctx.set(DIGEST_HEADER, sha256);
        await sendFile(ctx, name, file);
      } finally {
        await file.handle.close();
      }
    },
  };
}
