import { X509Certificate } from 'node:crypto';
import { copyFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect, type PeerCertificate, type TLSSocket } from 'node:tls';
import { generate } from 'selfsigned';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startService } from '../support/processes.ts';
import { until } from '../support/until.ts';
import { type ApiNode, startApiNode } from './api-node.ts';

let node: ApiNode;
let keyFile: string;
let certFile: string;

beforeAll(async () => {
  node = await startApiNode();
  keyFile = join(node.files, 'fasttask', 'ssl_cert', 'key.pem');
  certFile = join(node.files, 'fasttask', 'ssl_cert', 'cert.pem');
});
afterAll(() => node.stop());

function handshake(
  options: { maxVersion?: 'TLSv1.1' | 'TLSv1.2' } = {},
): Promise<{ version: string | null; certificate: PeerCertificate }> {
  return new Promise((resolve, reject) => {
    // Level 0 lets this client speak the old versions at all.
    const socket: TLSSocket = connect({
      host: '127.0.0.1',
      port: node.port,
      rejectUnauthorized: false,
      ...(options.maxVersion === undefined ? {} : { minVersion: 'TLSv1', maxVersion: options.maxVersion, ciphers: 'DEFAULT@SECLEVEL=0' }),
    });
    socket.once('secureConnect', () => {
      resolve({ version: socket.getProtocol(), certificate: socket.getPeerCertificate() });
      socket.destroy();
    });
    socket.once('error', reject);
  });
}

const served = async () => (await handshake()).certificate.fingerprint256;
const stored = () => new X509Certificate(readFileSync(certFile)).fingerprint256;

async function writePair(days: number): Promise<void> {
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
    curve: 'P-256',
    notAfterDate: new Date(Date.now() + days * 86_400_000),
  });
  // In one step each, as whoever renews certificates does.
  writeFileSync(`${keyFile}.new`, key);
  writeFileSync(`${certFile}.new`, cert);
  renameSync(`${keyFile}.new`, keyFile);
  renameSync(`${certFile}.new`, certFile);
}

test('TLS 1.2 and later are spoken, what is older is not', async () => {
  expect((await handshake()).version).toBe('TLSv1.3');
  expect((await handshake({ maxVersion: 'TLSv1.2' })).version).toBe('TLSv1.2');
  await expect(handshake({ maxVersion: 'TLSv1.1' })).rejects.toThrow();
});

test('a new certificate is served without a restart; a broken one is reported and changes nothing', async () => {
  const { pid } = node.process;
  await writePair(100);
  await until(async () => (await served()) === stored(), { what: 'the new certificate to be served', timeoutMs: 10_000, everyMs: 200 });
  const good = await served();
  copyFileSync(certFile, `${certFile}.good`);
  writeFileSync(certFile, 'nonsense');
  await node.process.waitForEvent('certificate.refused', { where: ({ reason }) => !/belong together/.test(String(reason)) });
  expect(await served()).toBe(good);
  copyFileSync(`${certFile}.good`, certFile);
  expect(node.process.pid).toBe(pid);
  expect((await node.api.get('/health')).status).toBe(200);
});

test('the janitor renews a certificate that is about to end, and the API serves it', async () => {
  await writePair(10);
  const ending = stored();
  const janitor = await startService('janitor', node.env);
  expect(await janitor.exited).toMatchObject({ code: 0 });
  expect(stored()).not.toBe(ending);
  await until(async () => (await served()) === stored(), { what: 'the renewed certificate to be served', timeoutMs: 10_000, everyMs: 200 });
  expect(new X509Certificate(readFileSync(certFile)).subjectAltName).toContain('DNS:localhost');
});
