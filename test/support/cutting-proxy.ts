import { connect, createServer, type Socket } from 'node:net';
import { freePort } from './ports.ts';

/** A link between two programs of a test, that can be cut. */
export interface CuttingProxy {
  readonly port: number;
  /** Bytes that have gone through, to the server and from it, and connections that were made. */
  readonly passed: { up: number; down: number; connections: number };
  /** Cuts the connections of the moment once so many more bytes have gone one way. Once for each call. */
  cutAfter(bytes: number, way: 'up' | 'down'): void;
  /** Until `heal`, every connection is refused or cut. */
  sever(): void;
  heal(): void;
  stop(): Promise<void>;
}

/** Starts a link to a port of this machine. */
export async function startCuttingProxy(target: number): Promise<CuttingProxy> {
  const port = await freePort();
  const open = new Set<Socket>();
  const passed = { up: 0, down: 0, connections: 0 };
  const cuts: { at: number; way: 'up' | 'down' }[] = [];
  let severed = false;
  const cutAll = () => {
    for (const socket of open) socket.destroy();
  };
  const join = (from: Socket, to: Socket, way: 'up' | 'down') => {
    open.add(from);
    from.once('close', () => {
      open.delete(from);
      to.destroy();
    });
    from.on('error', () => {});
    from.on('data', (chunk: Buffer) => {
      passed[way] += chunk.length;
      if (!to.write(chunk)) {
        from.pause();
        to.once('drain', () => from.resume());
      }
      const due = cuts.findIndex((cut) => cut.way === way && passed[way] >= cut.at);
      if (due < 0) return;
      cuts.splice(due, 1);
      cutAll();
    });
  };
  const server = createServer((client) => {
    if (severed) return void client.destroy();
    passed.connections += 1;
    const upstream = connect(target, '127.0.0.1');
    join(client, upstream, 'up');
    join(upstream, client, 'down');
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    port,
    passed,
    cutAfter: (bytes, way) => void cuts.push({ at: passed[way] + bytes, way }),
    sever() {
      severed = true;
      cutAll();
    },
    heal() {
      severed = false;
    },
    stop: () =>
      new Promise((resolve) => {
        cutAll();
        server.close(() => resolve());
      }),
  };
}
