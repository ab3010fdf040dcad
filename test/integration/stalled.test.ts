import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { connect } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { jobOf } from '../support/https.ts';
import { until } from '../support/until.ts';
import { type ApiNode, startApiNode } from './api-node.ts';

/** In /proc/net/tcp. */
const ESTABLISHED = '01';

let node: ApiNode;

beforeAll(async () => {
  node = await startApiNode();
  await node.startConsumer();
});
afterAll(() => node.stop());

test('a client that does not read its answer is cut off after a minute, one that reads slowly is not', async () => {
  const { id } = jobOf(await node.api.post('/run/misbehave', { way: 'large' }));
  const open = (read: boolean) => {
    const socket = connect({ host: '127.0.0.1', port: node.port, rejectUnauthorized: false }, () => {
      // More than the kernel keeps for a reader that sleeps.
      socket.write(`GET /check/${id} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n`.repeat(6));
    });
    socket.on('error', () => {});
    if (read) socket.once('data', () => slowly(socket));
    else socket.pause();
    return socket;
  };
  const slowly = (socket: ReturnType<typeof connect>) => {
    socket.pause();
    const sip = setInterval(() => socket.read(64 * 1024) ?? socket.read(), 1000);
    socket.once('close', () => clearInterval(sip));
  };
  const [stalled, slow] = [open(false), open(true)];
  await until(() => isOpen(stalled) && isOpen(slow), { what: 'both clients to be connected' });
  const began = performance.now();
  await until(() => !isOpen(stalled), { what: 'the stalled client to be cut off', timeoutMs: 85_000, everyMs: 500 });
  expect(performance.now() - began).toBeGreaterThan(40_000);
  expect(isOpen(slow)).toBe(true);
  for (const socket of [stalled, slow]) socket.destroy();
  expect((await node.api.get('/health')).status).toBe(200);
});

/** Whether the server's end of a connection is established. The client that sleeps would not notice. */
function isOpen({ localPort = 0 }: Socket): boolean {
  const hex = (port: number) => port.toString(16).toUpperCase().padStart(4, '0');
  return readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .some((line) => {
      const [, local = '', remote = '', state] = line.trim().split(/\s+/);
      return local.endsWith(`:${hex(node.port)}`) && remote.endsWith(`:${hex(localPort)}`) && state === ESTABLISHED;
    });
}
