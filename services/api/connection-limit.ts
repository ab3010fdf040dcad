import type { Server, Socket } from 'node:net';
import { isLoopback } from '../../shared/config.ts';
import { networkOf } from './client-address.ts';

/**
 * Closes connections of an address that has `most` already in this process. Loopback is not limited: a proxy or the machine's own programs are there.
 */
export function limitConnections(server: Server, most: number): void {
  const open = new Map<string, number>();
  server.on('connection', (socket: Socket) => {
    const address = networkOf(socket.remoteAddress ?? '');
    if (isLoopback(address)) return;
    const count = (open.get(address) ?? 0) + 1;
    if (count > most) {
      socket.destroy();
      return;
    }
    open.set(address, count);
    socket.once('close', () => {
      const left = (open.get(address) ?? 1) - 1;
      if (left === 0) open.delete(address);
      else open.set(address, left);
    });
  });
}
