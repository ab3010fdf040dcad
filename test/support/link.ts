import { connect, createServer, type Socket } from 'node:net';
import { freePort } from './ports.ts';

/** The network between two hosts as a test has it: a TCP proxy on loopback that counts bytes and can be cut. */
export interface Link {
  readonly port: number;
  /** Bytes that have passed, from who connects and to them. */
  readonly bytes: { there: number; back: number };
  /** How often it was cut by `cutAt`. */
  readonly cuts: number;
  /** The most connections that were open at the same time. */
  readonly peak: number;
  /** Cuts every connection once as many bytes in all have passed, in either direction. */
  cutAt(...totals: number[]): void;
  /** Cuts every connection, and each new one at once, until `up`. */
  down(): void;
  up(): void;
  stop(): Promise<void>;
}

/** @param target port on loopback where connections lead */
export async function startLink(target: number): Promise<Link> {
  const open = new Set<Socket>();
  const bytes = { there: 0, back: 0 };
  let marks: number[] = [];
  let cuts = 0;
  let isUp = true;
  let [clients, peak] = [0, 0];
  const cut = () => {
    for (const socket of open) socket.destroy();
  };

  const server = createServer((client) => {
    client.on('error', () => {});
    if (!isUp) return void client.destroy();
    clients += 1;
    peak = Math.max(peak, clients);
    client.once('close', () => {
      clients -= 1;
    });
    const backend = connect(target, '127.0.0.1');
    const pass = (from: Socket, to: Socket, way: keyof typeof bytes) => {
      open.add(from);
      from.on('error', () => {});
      from.once('close', () => {
        open.delete(from);
        to.destroy();
      });
      from.once('end', () => to.end());
      from.on('data', (chunk: Buffer) => {
        bytes[way] += chunk.length;
        const [mark] = marks;
        if (mark !== undefined && bytes.there + bytes.back >= mark) {
          marks = marks.slice(1);
          cuts += 1;
          // The chunk is lost with the connection, as on a real network.
          return cut();
        }
        if (!to.write(chunk)) {
          from.pause();
          to.once('drain', () => from.resume());
        }
      });
    };
    pass(client, backend, 'there');
    pass(backend, client, 'back');
  });
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    port,
    bytes,
    get cuts() {
      return cuts;
    },
    get peak() {
      return peak;
    },
    cutAt: (...totals) => {
      marks = totals;
    },
    down() {
      isUp = false;
      cut();
    },
    up() {
      isUp = true;
    },
    stop() {
      cut();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
