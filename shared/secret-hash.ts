/** Hashed secrets of the accounts file: `scrypt$<N>$<r>$<p>$<salt>$<hash>`, the last two in base64url without padding. */
import { randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto';

/** A hashed secret, taken apart. */
export interface SecretHash {
  options: ScryptOptions & { N: number; r: number; p: number };
  salt: Buffer;
  hash: Buffer;
}

/**
 * What new secrets are hashed with: 32 MiB of memory, some half a second of one core. Of the settings that OWASP's Password Storage
 * Cheat Sheet holds for equal (N=2^17 p=1, 2^16 p=2, 2^15 p=3, all with r=8) the one that needs little memory.
 */
const NEW = { N: 2 ** 15, r: 8, p: 3 };
const SALT_BYTES = 16;
const HASH_BYTES = 32;

/** Settings of a file are taken in these bounds: below them a hash protects nothing, above them one check fills the memory. */
const COSTS = { least: 2 ** 12, most: 2 ** 17 };
const MAX_BLOCK = 8;
const MAX_PARALLEL = 16;

const FORM = /^scrypt\$(\d{1,6})\$(\d{1,2})\$(\d{1,2})\$([A-Za-z0-9_-]{22,86})\$([A-Za-z0-9_-]{43,86})$/;

/** The hash of a secret, with a new salt. */
export async function hashSecret(secret: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  const hash = await derive(secret, { options: NEW, salt, length: HASH_BYTES });
  return ['scrypt', NEW.N, NEW.r, NEW.p, salt.toString('base64url'), hash.toString('base64url')].join('$');
}

/** Takes the text of `hashSecret` apart; undefined when it has another form, or settings out of bounds. */
export function parseSecretHash(text: string): SecretHash | undefined {
  const [, n, r, p, salt = '', hash = ''] = FORM.exec(text) ?? [];
  const options = { N: Number(n), r: Number(r), p: Number(p) };
  const fits = options.N >= COSTS.least && options.N <= COSTS.most && Number.isInteger(Math.log2(options.N));
  if (!fits || options.r < 1 || options.r > MAX_BLOCK || options.p < 1 || options.p > MAX_PARALLEL) return undefined;
  return { options, salt: Buffer.from(salt, 'base64url'), hash: Buffer.from(hash, 'base64url') };
}

/** Whether this is the secret. Takes the same time for every secret; runs beside the event loop. */
export async function isSecret(secret: string, { options, salt, hash }: SecretHash): Promise<boolean> {
  return timingSafeEqual(await derive(secret, { options, salt, length: hash.length }), hash);
}

/** A hash that costs as much as the given one and that no secret fits. */
export function decoyOf({ options, salt, hash }: SecretHash): SecretHash {
  return { options, salt: randomBytes(salt.length), hash: randomBytes(hash.length) };
}

function derive(secret: string, { options, salt, length }: Omit<SecretHash, 'hash'> & { length: number }): Promise<Buffer> {
  // Node's own limit of 32 MiB is one block short for N=2^15.
  const maxmem = 256 * options.N * options.r + 1024 * options.r * options.p;
  return new Promise((resolve, reject) => {
    scrypt(secret, salt, length, { ...options, maxmem }, (error, key) => (error === null ? resolve(key) : reject(error)));
  });
}
