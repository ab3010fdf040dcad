import { createPrivateKey, X509Certificate } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { hostname } from 'node:os';

const DAY_MS = 86_400_000;

/** The longest life that current clients accept of a server certificate that they are told to trust. */
const LIFE_DAYS = 825;

/** A certificate that ends sooner is replaced at the next start. */
const RENEWED_BEFORE_DAYS = 30;

/** Where a certificate and its key lie, and the address that the API listens on. */
export interface CertificateRequest {
  keyFile: string;
  certFile: string;
  apiHost: string;
}

/**
 * Makes a self-signed certificate for this machine's names, unless the one that is there still serves.
 * @returns true when a new one was made
 */
export async function ensureCertificate({ keyFile, certFile, apiHost }: CertificateRequest): Promise<boolean> {
  const names = namesFor(apiHost);
  if (isCurrent(keyFile, certFile, names)) return false;
  const { generate } = await import('selfsigned');
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'FastTask' }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    notBeforeDate: new Date(Date.now() - DAY_MS),
    notAfterDate: new Date(Date.now() + (LIFE_DAYS - 1) * DAY_MS),
    extensions: [
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      { name: 'subjectAltName', altNames: names.map((name) => (isIP(name) === 0 ? { type: 2, value: name } : { type: 7, ip: name })) },
    ],
  });
  // Both are whole before either is in place; a crash in between leaves a pair that does not match, which is replaced.
  writeFileSync(`${keyFile}.new`, key, { mode: 0o600 });
  writeFileSync(`${certFile}.new`, cert, { mode: 0o644 });
  renameSync(`${keyFile}.new`, keyFile);
  renameSync(`${certFile}.new`, certFile);
  return true;
}

/** The names for which a certificate is made. */
function namesFor(apiHost: string, machine: string = hostname()): string[] {
  const names = ['localhost', '127.0.0.1', '::1', machine];
  if (apiHost !== '0.0.0.0' && apiHost !== '::') names.push(apiHost);
  return [...new Set(names.map((name) => name.toLowerCase()))];
}

function isCurrent(keyFile: string, certFile: string, names: readonly string[]): boolean {
  if (!existsSync(keyFile) || !existsSync(certFile)) return false;
  try {
    const certificate = new X509Certificate(readFileSync(certFile));
    const daysLeft = (Date.parse(certificate.validTo) - Date.now()) / DAY_MS;
    const count = certificate.subjectAltName?.split(',').length;
    return (
      daysLeft > RENEWED_BEFORE_DAYS &&
      count === names.length &&
      names.every((name) => covers(certificate, name)) &&
      matches(certificate, keyFile)
    );
  } catch {
    return false;
  }
}

function covers(certificate: X509Certificate, name: string): boolean {
  return (isIP(name) === 0 ? certificate.checkHost(name) : certificate.checkIP(name)) !== undefined;
}

function matches(certificate: X509Certificate, keyFile: string): boolean {
  return certificate.checkPrivateKey(createPrivateKey(readFileSync(keyFile)));
}
