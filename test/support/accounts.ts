import { scryptSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';

/** A hash as accounts files have it, cheap enough for many checks in a test. */
export function hashOf(secret: string, cost: number = 2 ** 12): string {
  const salt = Buffer.alloc(16, 's');
  const hash = scryptSync(secret, salt, 32, { N: cost, r: 8, p: 1, maxmem: 512 * 1024 * 1024 });
  return `scrypt$${cost}$8$1$${salt.toString('base64url')}$${hash.toString('base64url')}`;
}

/** Writes the accounts file of an installation whose files lie in `files`. */
export function writeAccounts(files: string, content: unknown): void {
  const text = typeof content === 'string' ? content : JSON.stringify(content);
  writeFileSync(`${files}/fasttask/conf/user_to_passwd.json`, text);
}
