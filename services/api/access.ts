/** Who may call the API: the one place that decides. */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { join } from 'node:path';
import { type Config, isLoopback } from '../../shared/config.ts';
import type { Logger } from '../../shared/logger.ts';
import { type Accounts, AccountsFile } from './accounts.ts';
import { ANONYMOUS, type Caller } from './caller.ts';
import { Refusal } from './refusal.ts';

export class Access {
  readonly #file: AccountsFile;
  readonly #anonymousAllowed: boolean;
  readonly #key = randomBytes(32);

  constructor(config: Pick<Config, 'api' | 'dirs'>, log: Logger) {
    this.#file = new AccountsFile(join(config.dirs.conf, 'user_to_passwd.json'), log);
    this.#anonymousAllowed = config.api.allowAnonymous || isLoopback(config.api.host);
  }

  /**
   * The accounts that now hold.
   * @throws Refusal 503 when nobody can be let in: the file is broken, or there is none and the API can be reached from elsewhere
   */
  async open(): Promise<Accounts> {
    const looked = this.#file.current();
    const accounts = looked instanceof Promise ? await looked : looked;
    if (accounts.kind === 'broken') throw new Refusal('accounts_broken', 503, 'The accounts of this server cannot be read');
    if (accounts.kind === 'none' && !this.#anonymousAllowed) {
      throw new Refusal('accounts_missing', 503, 'This server has no accounts and is not meant for anonymous access');
    }
    return accounts;
  }

  /**
   * The caller.
   * @param header the Authorization header, empty when there is none
   * @throws Refusal 401 (missing, malformed or wrong), and those of `open`
   */
  async admit(header: string): Promise<Caller> {
    const accounts = await this.open();
    if (accounts.kind !== 'some') return ANONYMOUS;
    const given = basicCredentials(header);
    if (given === undefined) throw unauthorized('Not authenticated');
    const expected = accounts.passwords.get(given.user);
    // The comparison is made for an unknown user as well, so that its time does not tell which names exist.
    const right = this.#same(given.password, expected ?? '');
    if (expected === undefined || !right) throw unauthorized('UNAUTHORIZED');
    return { name: given.user, role: 'admin' };
  }

  /** Digests of equal length: the time tells nothing of where two passwords differ, nor of their length. */
  #same(given: string, expected: string): boolean {
    return timingSafeEqual(this.#digest(given), this.#digest(expected));
  }

  #digest(text: string): Buffer {
    return createHmac('sha256', this.#key).update(text).digest();
  }
}

function unauthorized(detail: string): Refusal {
  return new Refusal('unauthorized', 401, detail, { 'www-authenticate': 'Basic' });
}

/** The user and the password of HTTP Basic (RFC 7617), or undefined when the header has another form. */
export function basicCredentials(header: string): { user: string; password: string } | undefined {
  const encoded = /^basic +([A-Za-z0-9+/]+={0,2})$/i.exec(header.trim())?.[1];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  return colon < 0 ? undefined : { user: text.slice(0, colon), password: text.slice(colon + 1) };
}
