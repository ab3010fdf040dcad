import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { ensureCertificate } from '../../shared/certificate.ts';
import { removeTempDirs, tempDir } from '../support/temp.ts';

let files: { keyFile: string; certFile: string };
beforeEach(() => {
  const dir = tempDir('cert');
  files = { keyFile: join(dir, 'key.pem'), certFile: join(dir, 'cert.pem') };
});
afterAll(removeTempDirs);

const certificate = () => new X509Certificate(readFileSync(files.certFile));

describe('the certificate', () => {
  it('covers loopback, this machine and the API’s address, for 825 days', async () => {
    expect(await ensureCertificate({ ...files, apiHost: '192.0.2.7' })).toBe(true);
    const made = certificate();
    for (const name of ['localhost', hostname()]) expect(made.checkHost(name), name).toBeDefined();
    for (const address of ['127.0.0.1', '::1', '192.0.2.7']) expect(made.checkIP(address), address).toBeDefined();
    expect((Date.parse(made.validTo) - Date.parse(made.validFrom)) / 86_400_000).toBeCloseTo(825, 1);
    expect(statSync(files.keyFile).mode & 0o777).toBe(0o600);
  });

  it('is kept while it serves', async () => {
    await ensureCertificate({ ...files, apiHost: '127.0.0.1' });
    const before = certificate().fingerprint256;
    expect(await ensureCertificate({ ...files, apiHost: '127.0.0.1' })).toBe(false);
    expect(await ensureCertificate({ ...files, apiHost: '0.0.0.0' })).toBe(false);
    expect(certificate().fingerprint256).toBe(before);
  });

  it('is replaced when the names change', async () => {
    await ensureCertificate({ ...files, apiHost: '127.0.0.1' });
    expect(await ensureCertificate({ ...files, apiHost: 'api.example.org' })).toBe(true);
    expect(certificate().checkHost('api.example.org')).toBeDefined();
  });

  it('is replaced when its key is another’s or broken', async () => {
    await ensureCertificate({ ...files, apiHost: '127.0.0.1' });
    const key = readFileSync(files.keyFile);
    const other = { keyFile: `${files.keyFile}.other`, certFile: `${files.certFile}.other` };
    await ensureCertificate({ ...other, apiHost: '127.0.0.1' });
    writeFileSync(files.certFile, readFileSync(other.certFile));
    expect(await ensureCertificate({ ...files, apiHost: '127.0.0.1' })).toBe(true);
    expect(readFileSync(files.keyFile)).not.toEqual(key);
    writeFileSync(files.keyFile, 'not a key');
    expect(await ensureCertificate({ ...files, apiHost: '127.0.0.1' })).toBe(true);
  });
});
