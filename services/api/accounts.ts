/** The accounts file: who may call the API. Read again when it changes; a file that is not understood lets nobody in. */
import { readFile, stat } from 'node:fs/promises';
import { messageOf } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';

/** `none`: no file or an empty object; `broken`: not to be trusted, `reason` says why. */
export type Accounts = { kind: 'none' } | { kind: 'broken'; reason: string } | { kind: 'some'; passwords: ReadonlyMap<string, string> };

/** How often the file is looked at, in milliseconds, at most. */
const LOOK_MS = 5000;

export class AccountsFile {
  readonly #path: string;
  readonly #log: Logger;
  #accounts: Accounts = { kind: 'broken', reason: 'not read yet' };
  #stamp = '';
  #lookedAt = Number.NEGATIVE_INFINITY;
  #looking: Promise<void> | undefined;

  constructor(path: string, log: Logger) {
    this.#path = path;
    this.#log = log;
  }

  /** The accounts as of at most 5 s ago: at once where they are fresh, else after a look at the file. */
  current(): Accounts | Promise<Accounts> {
    if (performance.now() - this.#lookedAt < LOOK_MS) return this.#accounts;
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking.then(() => this.#accounts);
  }

  async #look(): Promise<void> {
    const stamp = await this.#stampOf();
    if (stamp !== this.#stamp) {
      this.#accounts = await this.#read();
      this.#stamp = stamp;
      this.#report();
    }
    this.#lookedAt = performance.now();
  }

  /** Changes whenever the file may have. */
  async #stampOf(): Promise<string> {
    try {
      const { ino, size, mtimeMs } = await stat(this.#path);
      return `${ino} ${size} ${mtimeMs}`;
    } catch (error) {
      return messageOf(error);
    }
  }

  async #read(): Promise<Accounts> {
    try {
      return parseAccounts(await readFile(this.#path, 'utf8'));
    } catch (error) {
      const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
      return missing ? { kind: 'none' } : { kind: 'broken', reason: messageOf(error) };
    }
  }

  #report(): void {
    const accounts = this.#accounts;
    if (accounts.kind === 'broken') this.#log.error({ file: this.#path, reason: accounts.reason }, 'accounts.refused');
    else this.#log.info({ file: this.#path, accounts: accounts.kind === 'some' ? accounts.passwords.size : 0 }, 'accounts.loaded');
  }
}

/** Forms of a hashed password. They are not taken for a plain one: whoever has read the file could sign in with the hash. */
const hashed = /^\$?(scrypt|argon2(id|i|d)?|pbkdf2[\w-]*|2[abxy]|[156])\$/;

/** Reads `{"user":"password"}`. */
export function parseAccounts(text: string): Accounts {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    return {
      kind: 'broken',
      reason: `expected a JSON object {"user":"password"}, got ${text.trim() === '' ? 'an empty file' : 'text that is not JSON'}`,
    };
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content))
    return { kind: 'broken', reason: 'expected a JSON object {"user":"password"}' };
  const passwords = new Map<string, string>();
  for (const [user, password] of Object.entries(content)) {
    if (user === '' || user.includes(':'))
      return { kind: 'broken', reason: 'expected user names of at least one character and without a colon' };
    if (typeof password !== 'string' || password === '')
      return { kind: 'broken', reason: `expected a password of at least one character for ${user}` };
    if (hashed.test(password)) return { kind: 'broken', reason: `the password of ${user} has a hashed form that is not known` };
    passwords.set(user, password);
  }
  return passwords.size === 0 ? { kind: 'none' } : { kind: 'some', passwords };
}
