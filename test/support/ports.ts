import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/** Below the range from which the kernel takes ports for outgoing connections, so that none of those can steal one. */
const FIRST = 12_000;
const LAST = 32_000;
const taken = new Set<number>();

/** A port on which nobody listens, never given twice by this process. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const port = randomInt(FIRST, LAST);
    if (!taken.has(port) && (await canListen(port))) {
      taken.add(port);
      return port;
    }
  }
  throw new Error(`no free port between ${FIRST} and ${LAST} after 100 tries`);
}

/** Whether nobody listens on the port, on any address of this machine. */
export function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '0.0.0.0', () => probe.close(() => resolve(true)));
  });
}
