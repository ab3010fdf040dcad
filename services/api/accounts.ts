/** The accounts that hold now: the file is read again when it changes; one that is not understood lets nobody in. */
import { type BigIntStats, promises } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { type Accounts, parseAccounts } from '../../shared/accounts.ts';
import { codeOf, messageOf } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';

/** How often the file is looked at, in milliseconds, at most. */
const LOOK_MS = 5000;

/** For how long a file may be away while another takes its place, in milliseconds: some editors remove it first. */
const AWAY_MS = 300;

/** How often a file that changes while it is read is read again. */
const TRIES = 3;

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
    let stamp = await this.#stampOf();
    if (stamp === MISSING && this.#stamp !== '' && this.#accounts.kind !== 'none') {
      await pause(AWAY_MS);
      stamp = await this.#stampOf();
    }
    for (let tries = 0; stamp !== this.#stamp && tries < TRIES; tries += 1) {
      const accounts = await this.#read(stamp);
      const after = await this.#stampOf();
      // What was read belongs to no state of the file if that changed meanwhile.
      if (after === stamp) this.#take(accounts, stamp);
      else stamp = after;
    }
    this.#lookedAt = performance.now();
  }

  /** Changes whenever the file may have. */
  async #stampOf(): Promise<string> {
    try {
      const { ino, size, mtimeNs, ctimeNs }: BigIntStats = await promises.stat(this.#path, { bigint: true });
      return `${ino} ${size} ${mtimeNs} ${ctimeNs}`;
    } catch (error) {
      return isMissing(error) ? MISSING : messageOf(error);
    }
  }

  async #read(stamp: string): Promise<Accounts> {
    if (stamp === MISSING) return { kind: 'none' };
    try {
      return parseAccounts(await promises.readFile(this.#path));
    } catch (error) {
      return { kind: 'broken', reason: messageOf(error) };
    }
  }

  #take(accounts: Accounts, stamp: string): void {
    this.#accounts = accounts;
    this.#stamp = stamp;
    if (accounts.kind === 'broken') this.#log.error({ file: this.#path, reason: accounts.reason }, 'accounts.refused');
    else this.#log.info({ file: this.#path, accounts: accounts.kind === 'some' ? accounts.byName.size : 0 }, 'accounts.loaded');
  }
}

const MISSING = 'missing';

function isMissing(error: unknown): boolean {
  return codeOf(error) === 'ENOENT';
}
