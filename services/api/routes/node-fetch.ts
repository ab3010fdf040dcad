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
        const { owner, sha256 } = await store.recordOf(name);
        if (owner !== undefined) ctx.set(OWNER_HEADER, encodeURIComponent(owner));
        // Also where the file has another size by now: then it is not what was uploaded.
        if (sha256 !== undefined) ctx.set(DIGEST_HEADER, sha256);
        await sendFile(ctx, name, file);
      } finally {
        await file.handle.close();
      }
    },
  };
}
