/** A way to a server on which every byte travels longer, in both directions. */
import { setMaxListeners } from 'node:events';
import { type AddressInfo, createServer, connect as open, type Socket } from 'node:net';

/** A proxy that listens until `stop`. */
export interface SlowProxy {
  readonly port: number;
  /** How many bytes have come through. */
  readonly bytes: number;
  stop(): Promise<void>;
}

/**
 * @param listen the address on which it listens, on a free port
 * @param target the server
 * @param delayMs how long each byte is held, each way
 */
export async function startSlowProxy(listen: string, target: { host: string; port: number }, delayMs: number): Promise<SlowProxy> {
  const sockets = new Set<Socket>();
  const stopping = new AbortController();
  setMaxListeners(0, stopping.signal);
  let bytes = 0;

  /** Hands on what arrives, in order and late; the end as well. */
  const handOn = (from: Socket, to: Socket) => {
    const later = (work: () => void) => {
      const timer = setTimeout(work, delayMs);
      stopping.signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
    };
    from.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      later(() => to.write(chunk));
    });
    from.once('close', () => later(() => to.destroy()));
    from.on('error', () => undefined);
  };

  const server = createServer((client) => {
    const upstream = open(target);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.setNoDelay(true).once('close', () => sockets.delete(socket));
    }
    handOn(client, upstream);
    handOn(upstream, client);
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, listen, resolve));
  return {
    port: (server.address() as AddressInfo).port,
    get bytes() {
      return bytes;
    },
    async stop() {
      stopping.abort();
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
