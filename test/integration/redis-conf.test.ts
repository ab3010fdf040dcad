import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { redisConf } from '../../services/redis/conf.ts';
import { freePort } from '../support/ports.ts';
import { startProcess } from '../support/processes.ts';
import { redisProgram } from '../support/redis.ts';
import { tempDir } from '../support/temp.ts';

/** The answer to each command, sent as Redis' protocol has it, without a client library's own quoting. */
async function ask(port: number, ...commands: string[][]): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  for (const words of commands) {
    socket.write(`*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`);
  }
  socket.write('*1\r\n$4\r\nQUIT\r\n');
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(socket, 'close');
  return Buffer.concat(chunks).toString('utf8');
}

describe('redis.conf', () => {
  it.each(['plain', 'with "quotes" and \'these\'', 'back\\slash\\x41', ' spaces  around ', '#comment', 'пароль-密码', 'tab\tand\nline'])(
    'carries the password %j as it is',
    async (password) => {
      const dataDir = join(tempDir('redis conf'), 'data "dir"');
      mkdirSync(dataDir);
      const port = await freePort();
      const conf = join(dataDir, 'redis.conf');
      writeFileSync(conf, redisConf({ listenHost: '127.0.0.1', port, password, dataDir }));
      const { command, env } = await redisProgram();
      const server = await startProcess(command, [conf], { name: 'redis', env });
      try {
        await server.waitForOutput(/Ready to accept connections/);
        expect(await ask(port, ['PING'])).toContain('NOAUTH');
        const answer = await ask(
          port,
          ['AUTH', password],
          ['CONFIG', 'GET', 'dir'],
          ['CONFIG', 'GET', 'maxmemory-policy'],
          ['CONFIG', 'GET', 'appendonly'],
        );
        expect(answer).toMatch(/^\+OK/);
        expect(answer).toContain(dataDir);
        expect(answer).toContain('noeviction');
        expect(answer).toMatch(/appendonly\r\n\$3\r\nyes/);
      } finally {
        await server.stop();
      }
    },
  );
});
