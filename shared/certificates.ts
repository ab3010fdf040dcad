/** The certificates that the API's processes serve, by their SHA-256 fingerprints: kept in Redis, where nodes learn whom to trust. */
import type { Redis } from './redis.ts';

/** How often every API process tells its certificate, in milliseconds. */
export const CERTIFICATE_MS = 5000;

/** A certificate that nobody has told of for this long is forgotten, in seconds. */
const FORGET_SECONDS = 600;

const certificatesKey = (prefix: string) => `${prefix}:certificates`;

// KEYS certificates · ARGV fingerprint, seconds
const PUBLISH = `
local now = tonumber(redis.call('TIME')[1])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[2]))
`;

/** Tells the fingerprint of a certificate that is served now. @param fingerprint as Node writes it: pairs of hexadecimal digits with colons */
export async function publishCertificate(redis: Redis, prefix: string, fingerprint: string): Promise<void> {
  await redis.eval(PUBLISH, 1, certificatesKey(prefix), fingerprint, String(FORGET_SECONDS));
}

/** The fingerprints that were told within the last ten minutes or so. */
export async function publishedCertificates(redis: Redis, prefix: string): Promise<ReadonlySet<string>> {
  return new Set(await redis.zrange(certificatesKey(prefix), '0', '-1'));
}
