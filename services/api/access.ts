/** Who may call the API: the one place that decides. */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { join } from 'node:path';
import { ACCOUNTS_FILE, type Account, type Accounts } from '../../shared/accounts.ts';
import { type Config, isLoopback } from '../../shared/config.ts';
import type { Logger } from '../../shared/logger.ts';
import type { Redis } from '../../shared/redis.ts';
import { decoyOf, type SecretHash } from '../../shared/secret-hash.ts';
import { AccountsFile } from './accounts.ts';
import { ANONYMOUS, type Caller } from './caller.ts';
import { type Credentials, credentialsOf } from './credentials.ts';
import { FailedSignIns } from './failed-sign-ins.ts';
import { Refusal } from './refusal.ts';
import { SecretChecks } from './secret-checks.ts';

/** For how long a secret that was right is known again without another check, in milliseconds. */
const REMEMBERED_MS = 600_000;

/** What is known of one state of the accounts file; it goes with it. */
interface AccountsState {
  byName: ReadonlyMap<string, Account>;
  /** Costs as much as the hashes of the file; undefined where it has none. */
  decoy: SecretHash | undefined;
  /** Right secrets, by name. */
  remembered: Map<string, { digest: Buffer; until: number }>;
  /** Checks under way, by what is checked: the same ones share one. */
  checking: Map<string, Promise<boolean>>;
}

export class Access {
  readonly #file: AccountsFile;
  readonly #anonymousAllowed: boolean;
  readonly #failures: FailedSignIns;
  readonly #checks = new SecretChecks();
  readonly #key = randomBytes(32);
  #state: AccountsState | undefined;

  constructor(config: Pick<Config, 'api' | 'dirs' | 'redis'>, redis: Redis, log: Logger) {
    this.#file = new AccountsFile(join(config.dirs.conf, ACCOUNTS_FILE), log);
    this.#anonymousAllowed = config.api.allowAnonymous || isLoopback(config.api.host);
    this.#failures = new FailedSignIns(redis, config.redis.prefix, log);
  }

  /**
   * The accounts that now hold: at once, unless the file must be looked at first.
   * @throws Refusal 503 when nobody can be let in: the file is broken, or there is none and the API can be reached from elsewhere
   */
  open(): Accounts | Promise<Accounts> {
    const accounts = this.#file.current();
    return accounts instanceof Promise ? accounts.then((read) => this.#usable(read)) : this.#usable(accounts);
  }

  #usable(accounts: Accounts): Accounts {
    if (accounts.kind === 'broken') throw new Refusal('accounts_broken', 'The accounts of this server cannot be read');
    if (accounts.kind === 'none' && !this.#anonymousAllowed) {
      throw new Refusal('accounts_missing', 'This server has no accounts and is not meant for anonymous access');
    }
    return accounts;
  }

  /** Says in the log who may call an API that can be reached from elsewhere and has no accounts. */
  async announce(host: string, log: Logger): Promise<void> {
    if (isLoopback(host) || (await this.#file.current()).kind !== 'none') return;
    log.warn({ host }, this.#anonymousAllowed ? 'access.anonymous' : 'access.closed_without_accounts');
  }

  /**
   * The caller.
   * @param header the Authorization header, empty when there is none
   * @param address where the request comes from
   * @throws Refusal 401 (missing, malformed, wrong or expired), 429 (too many failures, or too many checks at once), and those of `open`
   */
  async admit(header: string, address: string): Promise<Caller> {
    const accounts = await this.open();
    if (accounts.kind !== 'some') return ANONYMOUS;
    const given = credentialsOf(header);
    if (given === undefined) throw unauthorized('Not authenticated');
    // No account is called so, and it is no guess: old clients send it where they have no account.
    if (given.name === '') throw unauthorized('UNAUTHORIZED');
    const state = this.#stateOf(accounts);
    const account = state.byName.get(given.name);
    const right = await this.#isRight(state, account, given, address);
    if (account === undefined || !right || hasExpired(account)) throw unauthorized('UNAUTHORIZED');
    return { name: account.name, role: account.role, tasks: account.tasks };
  }

  #stateOf({ byName, digest }: Extract<Accounts, { kind: 'some' }>): AccountsState {
    if (this.#state?.byName === byName) return this.#state;
    this.#failures.lift(digest);
    const hash = [...byName.values()].flatMap(({ secret }) => ('hash' in secret ? [secret.hash] : []))[0];
    const decoy = hash === undefined ? undefined : decoyOf(hash);
    this.#state = { byName, decoy, remembered: new Map(), checking: new Map() };
    return this.#state;
  }

  async #isRight(state: AccountsState, account: Account | undefined, given: Credentials, address: string): Promise<boolean> {
    const { name } = given;
    this.#failures.refuse(name, address);
    const digest = this.#digest(given);
    let right = this.#knows(state, name, digest);
    if (!right) {
      const key = `${digest.toString('base64')} ${address}`;
      let checking = state.checking.get(key);
      if (checking === undefined) {
        checking = this.#failures.during(name, address, () => this.#check(state, account, given, digest));
        state.checking.set(key, checking);
        const over = () => void state.checking.delete(key);
        checking.then(over, over);
      }
      right = await checking;
      if (right) state.remembered.set(name, { digest, until: performance.now() + REMEMBERED_MS });
    }
    if (right) this.#failures.forget(name, address);
    return right;
  }

  /** Whether the secret was right before. */
  #knows({ remembered }: AccountsState, name: string, digest: Buffer): boolean {
    const known = remembered.get(name);
    return known !== undefined && performance.now() < known.until && timingSafeEqual(digest, known.digest);
  }

  /** Where the file has a hash, an unknown name and a wrong plain password take as long as a wrong hashed one: time tells no names. */
  async #check({ decoy }: AccountsState, account: Account | undefined, { name, secret }: Credentials, digest: Buffer): Promise<boolean> {
    if (account !== undefined && 'plain' in account.secret) {
      if (timingSafeEqual(digest, this.#digest({ name, secret: account.secret.plain }))) return true;
    }
    const hash = account !== undefined && 'hash' in account.secret ? account.secret.hash : decoy;
    return hash !== undefined && (await this.#checks.isRight(secret, hash));
  }

  /** Digests of equal length: the time tells nothing of where two secrets differ, nor of their length. */
  #digest({ name, secret }: Credentials): Buffer {
    return createHmac('sha256', this.#key).update(`${name.length} ${name}${secret}`).digest();
  }
}

function hasExpired({ expiresAt }: Account): boolean {
  return expiresAt !== undefined && Date.now() >= expiresAt;
}

function unauthorized(detail: string): Refusal {
  return new Refusal('unauthorized', detail, { 'www-authenticate': 'Basic' });
}
