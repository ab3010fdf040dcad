/** The accounts file as `npm run user` reads and writes it. */
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, realpathSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { ACCOUNTS_FILE, type AccountRecord, type Accounts, parseAccounts } from '../../shared/accounts.ts';
import type { Config } from '../../shared/config.ts';
import { SupervisorError } from './pm2.ts';
import { makeFolder } from './preparation.ts';

/** Records by name, as the file has them: what nobody changes is written as it was read. */
export type Records = Map<string, string | AccountRecord>;

/** How long another command may write, and from when on its file was left behind, in milliseconds. */
const WAIT_MS = 5000;
const LEFT_BEHIND_MS = 30_000;

export class AccountsStore {
  readonly #dirs: Config['dirs'];
  readonly #file: string;

  constructor({ dirs }: Pick<Config, 'dirs'>) {
    const file = join(dirs.conf, ACCOUNTS_FILE);
    this.#dirs = dirs;
    // A link stays one: what it leads to is replaced.
    this.#file = existsSync(file) ? realpathSync(file) : file;
  }

  /** @throws SupervisorError when the file is broken */
  accounts(): Exclude<Accounts, { kind: 'broken' }> {
    const accounts = parseAccounts(this.#content());
    if (accounts.kind === 'broken') throw new SupervisorError(`${this.#file}: ${accounts.reason}`);
    return accounts;
  }

  /**
   * Reads the records, lets them be edited and writes them in one step, readable by their owner alone. Commands at the same time
   * come one after the other.
   * @throws SupervisorError, and whatever `edit` throws: then nothing is written
   */
  async change(edit: (records: Records) => void): Promise<void> {
    for (const folder of [this.#dirs.files, this.#dirs.system]) makeFolder(folder, 0o755);
    makeFolder(this.#dirs.conf, 0o700);
    const next = `${this.#file}.new`;
    const descriptor = await this.#lock(next);
    try {
      this.accounts();
      const records: Records = new Map(Object.entries(JSON.parse(new TextDecoder().decode(this.#content()))));
      edit(records);
      // fromEntries makes own properties of all names, `__proto__` included.
      writeSync(descriptor, `${JSON.stringify(Object.fromEntries(records), null, 2)}\n`);
      fsyncSync(descriptor);
      renameSync(next, this.#file);
    } catch (error) {
      rmSync(next, { force: true });
      throw error;
    } finally {
      closeSync(descriptor);
    }
  }

  #content(): Uint8Array {
    return existsSync(this.#file) ? readFileSync(this.#file) : Buffer.from('{}');
  }

  /** The file that will take the place of the old one: whoever can make it may write. */
  async #lock(next: string): Promise<number> {
    const deadline = performance.now() + WAIT_MS;
    for (;;) {
      try {
        return openSync(next, 'wx', 0o600);
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
      }
      const since = statSync(next, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
      if (Date.now() - since > LEFT_BEHIND_MS) rmSync(next, { force: true });
      else if (performance.now() >= deadline) throw new SupervisorError(`another command writes the accounts (${next}): try again`);
      else await pause(50);
    }
  }
}
