import { ValidationError } from '../../../shared/errors.ts';
import type { FileStore } from '../../../shared/files.ts';
import { type Delivery, OFFSET_HEADER } from '../../../shared/node-files.ts';
import { IncomingDelivery } from '../incoming-delivery.ts';
import { Refusal } from '../refusal.ts';
import type { Context } from '../route.ts';
import { refusalOf } from '../upload-body.ts';

/** `/nodes/delivery`: HEAD tells how much of a file has arrived; PUT takes the bytes from there on, and the file in with the last one. */
export function nodeDelivery(store: FileStore) {
  const answering = async (ctx: Context, work: (incoming: IncomingDelivery) => Promise<void>) => {
    try {
      const incoming = new IncomingDelivery(store, deliveryOf(ctx));
      await work(incoming);
      const { offset, etag } = await incoming.progress();
      ctx.status = 200;
      ctx.set(OFFSET_HEADER, String(offset));
      if (etag !== undefined) ctx.set('etag', etag);
      ctx.body = '';
    } catch (error) {
      throw refusalOf(error);
    }
  };
  return {
    HEAD: (ctx: Context) => answering(ctx, async () => {}),
    PUT: (ctx: Context) => answering(ctx, (incoming) => incoming.take(ctx.req, wholeNumber(ctx.get(OFFSET_HEADER), OFFSET_HEADER))),
  };
}

/** @throws ValidationError, FileNameError */
function deliveryOf({ query }: Context): Delivery {
  const text = (name: string) => {
    const value = query[name];
    if (typeof value === 'string') return value;
    throw new ValidationError([{ type: 'missing', loc: ['query', name], msg: 'Field required', input: null }]);
  };
  const sha256 = text('sha256');
  if (!/^[0-9a-f]{64}$/.test(sha256)) {
    throw new ValidationError([
      { type: 'string_pattern_mismatch', loc: ['query', 'sha256'], msg: 'expected 64 hexadecimal digits', input: sha256 },
    ]);
  }
  return { name: text('file_name'), sha256, size: wholeNumber(text('size'), 'size'), owner: text('owner') };
}

function wholeNumber(text: string, name: string): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isNaN(value))
    throw new Refusal('precondition_failed', `expected a whole number as ${name}, got ${JSON.stringify(text.slice(0, 100))}`);
  return value;
}
