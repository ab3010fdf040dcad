import { connect, createServer, type Socket } from 'node:net';
import { freePort } from './ports.ts';

/**
 * A proxy before a Redis that changes what its INFO says, for versions that cannot be had here. `rewrite` must keep the length, because
 * replies carry it.
 */
export async function startInfoProxy(
  redisPort: number,
  rewrite: (reply: string) => string,
): Promise<{ port: number; stop(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(redisPort, '127.0.0.1');
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        client.destroy();
        upstream.destroy();
      });
    }
    client.pipe(upstream);
    upstream.on('data', (chunk) => {
      const reply = chunk.toString('latin1');
      const rewritten = rewrite(reply);
      if (rewritten.length !== reply.length) throw new Error(`expected ${reply.length} characters, got ${rewritten.length}`);
      client.write(Buffer.from(rewritten, 'latin1'));
    });
  });
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    port,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
