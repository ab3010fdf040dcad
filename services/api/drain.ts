import type { IncomingMessage } from 'node:http';

/** How much of a body that nobody wants is read before the connection is cut. */
const DRAINED_BYTES = 32 * 1024 ** 2;
const DRAIN_MS = 5000;

const draining = new WeakSet<IncomingMessage>();

/**
 * Reads a refused body on, up to a point: a client that is still sending would meet a reset connection and never see the answer.
 * Safe to call twice.
 */
export function drain(request: IncomingMessage): void {
  if (request.complete || request.destroyed || draining.has(request)) return;
  draining.add(request);
  let left = DRAINED_BYTES;
  const cut = () => request.socket.destroy();
  const timer = setTimeout(cut, DRAIN_MS).unref();
  const done = () => clearTimeout(timer);
  request.on('data', (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) cut();
  });
  request.on('end', done).on('close', done).resume();
}
