import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from '../support/processes.ts';
import { until } from '../support/until.ts';
import { type ApiNode, startApiNode } from './api-node.ts';

/** A network namespace stands for another machine: loopback is not limited. Making one needs root. */
const possible = process.getuid?.() === 0 && ['/usr/sbin/ip', '/sbin/ip'].some((file) => existsSync(file));
const id = process.pid.toString(36);
const [space, here, there] = [`ft-${id}`, `fth${id}`, `ftt${id}`];
const [ownAddress, otherAddress] = ['198.18.77.1', '198.18.77.2'];

let node: ApiNode;

beforeAll(async () => {
  node = await startApiNode();
  if (!possible) return;
  ip('netns', 'add', space);
  ip('link', 'add', here, 'type', 'veth', 'peer', 'name', there, 'netns', space);
  ip('address', 'add', `${ownAddress}/30`, 'dev', here);
  ip('link', 'set', here, 'up');
  ip('-n', space, 'address', 'add', `${otherAddress}/30`, 'dev', there);
  ip('-n', space, 'link', 'set', there, 'up');
});
afterAll(async () => {
  await node.stop();
  // Its end of the pair goes with the namespace, and the other end with it.
  if (possible) ip('netns', 'delete', space);
});

function ip(...args: string[]): void {
  execFileSync('ip', args);
}

/** Opens connections from the namespace one after another and tells how many are still open when the last one was. */
const client = `
const net = require('node:net');
const [host, port, count] = process.argv.slice(1);
const sockets = [];
const open = () => {
  if (sockets.length === Number(count)) return setTimeout(() => { console.log(sockets.filter((socket) => !socket.destroyed).length); process.exit(0); }, 1000);
  const socket = net.connect({ host, port: Number(port) }, open);
  sockets.push(socket);
  socket.on('error', () => {}).on('close', () => socket.destroy()).resume();
};
open();
`;

test.runIf(possible)('one address may have so many connections and no more, and another is not concerned', async () => {
  const {
    port,
    process: api,
    api: local,
  } = await node.anotherApi({
    API_HOST: '0.0.0.0',
    API_ALLOW_ANONYMOUS: 'True',
    API_MAX_CONNECTIONS_PER_ADDRESS: '5',
  });
  const openFrom = async (count: number) => {
    const args = ['netns', 'exec', space, process.execPath, '-e', client, ownAddress, String(port), String(count)];
    const { output, code } = await run('ip', args);
    expect(code, output).toBe(0);
    return Number(output.trim());
  };
  expect(await openFrom(4)).toBe(4);
  expect(await openFrom(20)).toBe(5);
  // Those of the client that has gone are free again.
  await until(async () => (await openFrom(5)) === 5, { what: 'the connections to be free again' });
  const many = await Promise.all(Array.from({ length: 20 }, () => local.get('/health')));
  expect(many.every(({ status }) => status === 200)).toBe(true);
  await api.stop();
});
