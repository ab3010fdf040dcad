import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { generate } from 'selfsigned';
import { freePort } from './ports.ts';
import { commonLines, RedisServer } from './redis-server.ts';
import { tempDir } from './temp.ts';

/** Files of certificates that each sign themselves: the server's, and a client's. */
export interface TlsFiles {
  server: { cert: string; key: string };
  client: { cert: string; key: string };
  /** What a client may have that the server does not know. */
  stranger: { cert: string; key: string };
}

async function makeCertificate(folder: string, name: string) {
  const { private: key, cert } = await generate([{ name: 'commonName', value: name }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }],
  });
  const files = { cert: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) };
  writeFileSync(files.cert, cert);
  writeFileSync(files.key, key, { mode: 0o600 });
  return files;
}

/** Starts a server that speaks TLS alone and lets in only who has the client's certificate. */
export async function startTlsRedis(lines: readonly string[]): Promise<{ server: RedisServer; files: TlsFiles }> {
  const folder = tempDir('certificates');
  const files = {
    server: await makeCertificate(folder, 'server'),
    client: await makeCertificate(folder, 'client'),
    stranger: await makeCertificate(folder, 'stranger'),
  };
  const port = await freePort();
  const server = await RedisServer.start(port, [
    ...commonLines,
    'port 0',
    `tls-port ${port}`,
    `tls-cert-file ${files.server.cert}`,
    `tls-key-file ${files.server.key}`,
    `tls-ca-cert-file ${files.client.cert}`,
    'tls-auth-clients yes',
    ...lines,
  ]);
  return { server, files };
}
