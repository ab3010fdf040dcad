import type { IncomingMessage } from 'node:http';
import type { Context } from './route.ts';

/** How much of a body that nobody wants is read before the connection is cut. */
const DRAINED_BYTES = 32 * 1024 ** 2;
const DRAIN_MS = 5000;

/**
 * Reads on what a request's route has left unread, up to a point: a client that is still sending would meet a reset connection and
 * never see the answer. Where the connection ends with the answer, this settles when the answer may be sent.
 */
export async function drain({ req, res }: Pick<Context, 'req' | 'res'>): Promise<void> {
  if (req.complete || req.destroyed) return;
  const reading = readOn(req);
  if (!res.shouldKeepAlive) await reading;
  else void reading.then((ended) => ended || req.socket.destroy());
}

/** @returns whether the body has ended, and not the patience with it */
function readOn(request: IncomingMessage): Promise<boolean> {
  return new Promise((resolve) => {
    let left = DRAINED_BYTES;
    const settle = (ended: boolean) => {
      clearTimeout(timer);
      resolve(ended);
    };
    const timer = setTimeout(() => settle(false), DRAIN_MS).unref();
    request.on('data', (chunk: Buffer) => {
      left -= chunk.length;
      if (left < 0) settle(false);
    });
    request
      .on('end', () => settle(true))
      .on('close', () => settle(true))
      .resume();
  });
}
