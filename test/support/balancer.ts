import { connect, createServer, type Socket } from 'node:net';

/**
 * A load balancer as TCP sees one: each connection goes to the next backend in turn, or to the one after it where nobody listens.
 * A backend that dies takes its connections with it.
 */
export async function startBalancer(ports: readonly number[]) {
  let turn = 0;
  const open = new Set<Socket>();
  /** Connections that each backend was given. */
  const given = new Map<number, number>(ports.map((port) => [port, 0]));

  const hand = (client: Socket, tries: number): void => {
    const port = ports[turn % ports.length] ?? 0;
    turn += 1;
    const backend = connect(port, '127.0.0.1');
    open.add(backend);
    let connected = false;
    backend.once('connect', () => {
      connected = true;
      given.set(port, (given.get(port) ?? 0) + 1);
      client.pipe(backend).pipe(client);
    });
    backend.on('error', () => {});
    backend.once('close', () => {
      open.delete(backend);
      if (connected || tries <= 1) client.destroy();
      else hand(client, tries - 1);
    });
    client.once('close', () => backend.destroy());
  };

  const server = createServer((client) => {
    open.add(client);
    client.on('error', () => {});
    client.once('close', () => open.delete(client));
    hand(client, ports.length);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error(`expected a port, got ${address}`);
  return {
    origin: `http://127.0.0.1:${address.port}`,
    given,
    async stop(): Promise<void> {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
