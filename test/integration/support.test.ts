import { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { leftovers } from '../support/leaks.ts';
import { canListen, freePort } from '../support/ports.ts';
import { run, startProcess } from '../support/processes.ts';
import { startRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

test('a test Redis keeps its data over kill -9 and a restart, and can be frozen', async () => {
  const server = await startRedis({ kind: 'server' });
  const client = new Redis(server.url, { maxRetriesPerRequest: null, retryStrategy: () => 50 });
  client.on('error', () => undefined);
  try {
    await client.set('key', 'value');
    const before = server.pid;
    await server.kill9();
    await server.restart();
    expect(server.pid).not.toBe(before);
    expect(await client.get('key')).toBe('value');

    server.pause();
    const answer = client.get('key');
    const first = await Promise.race([answer, new Promise((resolve) => setTimeout(resolve, 200, 'nothing yet'))]);
    expect(first).toBe('nothing yet');
    server.resume();
    expect(await answer).toBe('value');
  } finally {
    client.disconnect();
    await server.stop();
  }
  expect(await canListen(server.port)).toBe(true);
});

test('a process that a test forgets is found, and so is a daemon that only knows a folder of the test', async () => {
  const forgotten = await startProcess(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { name: 'forgotten' });
  expect(leftovers().map(({ pid }) => pid)).toContain(forgotten.pid);
  await forgotten.kill9();
  await until(() => leftovers().length === 0, { what: 'no leftovers' });
});

test('a free port is given once and can be listened on', async () => {
  const ports = await Promise.all([freePort(), freePort(), freePort()]);
  expect(new Set(ports).size).toBe(3);
});

test('waiting for an event of a process that ends fails at once and shows its last lines', async () => {
  const short = await startProcess(process.execPath, ['-e', 'console.log("last words")'], { name: 'short' });
  await expect(short.waitForEvent('never', { timeoutMs: 20_000 })).rejects.toThrow(/short ended before the event never.*last words/s);
});

test('a program run to its end gives its exit code and its output', async () => {
  const { code, output } = await run(process.execPath, ['-e', 'console.log("out"); console.error("err"); process.exitCode = 3']);
  expect({ code, output: output.split('\n').sort() }).toEqual({ code: 3, output: ['err', 'out'] });
});

test('until says what it waited for and what it saw last', async () => {
  await expect(until(() => ({}).constructor === Array, { what: 'a miracle', timeoutMs: 30, everyMs: 5 })).rejects.toThrow(
    /waited 30 ms for a miracle; last: false/,
  );
});
