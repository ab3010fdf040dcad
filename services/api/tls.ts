/** The certificate of the API, taken up again whenever its files change. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import type { Server } from 'node:https';
import type { Config } from '../../shared/config.ts';
import { FastTaskError, messageOf } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';

/** How often the files are looked at, in milliseconds. */
const LOOK_MS = 5000;

type Files = Pick<Config['tls'], 'keyFile' | 'certFile'>;

/** What TLS is spoken with; TLS 1.2 is the oldest version that is still taken. */
export interface TlsOptions {
  key: Buffer;
  cert: Buffer;
  minVersion: 'TLSv1.2';
}

/** @throws FastTaskError `certificate_unusable`: a file cannot be read, or key and certificate do not belong together */
export function readTls({ keyFile, certFile }: Files): TlsOptions {
  try {
    const [key, cert] = [readFileSync(keyFile), readFileSync(certFile)];
    if (!new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) throw new Error('they do not belong together');
    return { key, cert, minVersion: 'TLSv1.2' };
  } catch (error) {
    throw new FastTaskError(
      'certificate_unusable',
      500,
      `The API needs a key in ${keyFile} and its certificate in ${certFile}: ${messageOf(error)}`,
    );
  }
}

/** Gives a server the new pair whenever its files have changed. One that cannot be used is reported, and the one before stays. */
export function followCertificate(server: Server, files: Files, log: Logger): () => void {
  let seen = stampOf(files);
  const timer = setInterval(() => {
    const stamp = stampOf(files);
    if (stamp === seen) return;
    seen = stamp;
    try {
      server.setSecureContext(readTls(files));
      log.info({ certFile: files.certFile }, 'certificate.replaced');
    } catch (error) {
      log.error({ reason: messageOf(error) }, 'certificate.refused');
    }
  }, LOOK_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/** Changes whenever one of the files may have. */
function stampOf({ keyFile, certFile }: Files): string {
  return [keyFile, certFile]
    .map((file) => {
      const { ino, size, mtimeMs } = statSync(file, { throwIfNoEntry: false }) ?? {};
      return `${ino} ${size} ${mtimeMs}`;
    })
    .join(' ');
}
