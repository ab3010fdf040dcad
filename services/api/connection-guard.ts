/** Bounds what one connection can hold: requests that are sent ahead of their answers, and answers that are never read. */
import type { RequestListener, Server } from 'node:http';
import type { Server as TlsServer } from 'node:https';
import type { Socket } from 'node:net';

/** Requests of one connection that may be without an answer. Clients that pipeline at all send some ten ahead. */
const MOST_AHEAD = 32;

/** How long a client may read nothing of an answer that waits for it, and how often that is looked at, in milliseconds. */
const STALLED_MS = 60_000;
const LOOK_MS = 10_000;

/** Closes connections with too many unanswered requests; those beyond the limit never reach the listener. */
export function limitPipelines(listener: RequestListener): RequestListener {
  const unanswered = new WeakMap<Socket, Unanswered>();
  return (request, response) => {
    const { socket } = request;
    let ahead = unanswered.get(socket);
    if (ahead === undefined) {
      ahead = new Unanswered();
      unanswered.set(socket, ahead);
      // Each request may listen for the end of the connection.
      socket.setMaxListeners(0);
    }
    ahead.count += 1;
    if (ahead.count > MOST_AHEAD) return void socket.destroy();
    response.on('close', ahead.answered);
    listener(request, response);
  };
}

/** How many requests of a connection are without an answer. */
class Unanswered {
  count = 0;

  readonly answered = (): void => {
    this.count -= 1;
  };
}

/** Closes connections whose clients have stopped reading. @returns what ends the watch */
export function closeStalled(server: Server | TlsServer, event: 'connection' | 'secureConnection'): () => void {
  const open = new Map<Socket, { delivered: number; since: number }>();
  server.on(event, (socket: Socket) => {
    open.set(socket, { delivered: 0, since: performance.now() });
    socket.once('close', () => open.delete(socket));
  });
  const timer = setInterval(() => {
    const now = performance.now();
    for (const [socket, last] of open) {
      const delivered = socket.bytesWritten - socket.writableLength;
      if (socket.writableLength === 0 || delivered !== last.delivered) open.set(socket, { delivered, since: now });
      else if (now - last.since >= STALLED_MS) socket.destroy();
    }
  }, LOOK_MS);
  timer.unref();
  return () => clearInterval(timer);
}
