/**
 * The accounts file `user_to_passwd.json`: its forms, read by the API and written by `npm run user`.
 *
 *   "ann": "password"                                            an admin, as the older FastTask knows it
 *   "bob": { "secret": "scrypt$…", "role": "submitter",          a person or a key
 *            "tasks": ["resize"], "expires": "2027-01-31" }      both may be left out
 */
import { createHash } from 'node:crypto';
import { taskNamePattern } from './config-validators.ts';
import { parseSecretHash, type SecretHash } from './secret-hash.ts';

/** The file's name in the folder `conf`. */
export const ACCOUNTS_FILE = 'user_to_passwd.json';

/** `submitter`: own jobs and files; `viewer`: reads all, changes nothing; `admin`: all. */
export const roles = ['admin', 'viewer', 'submitter'] as const;
export type Role = (typeof roles)[number];

/** Who may call: a person or a key. */
export interface Account {
  name: string;
  role: Role;
  /** The tasks that it may use; undefined: all. */
  tasks: ReadonlySet<string> | undefined;
  /** From when on it lets nobody in, in milliseconds since 1970. */
  expiresAt: number | undefined;
  secret: { plain: string } | { hash: SecretHash };
}

/** A record of the file as `npm run user` writes it. */
export interface AccountRecord {
  /** The text of `hashSecret`. */
  secret: string;
  role: Role;
  tasks?: string[];
  /** A day or a moment of ISO 8601, see `momentOf`. */
  expires?: string;
}

/**
 * `none`: no file or an empty object; `broken`: not to be trusted, `reason` names the record and never its secret; `digest` is that of the file's
 * content, the same for every process that has read it.
 */
export type Accounts =
  | { kind: 'none' }
  | { kind: 'broken'; reason: string }
  | { kind: 'some'; byName: ReadonlyMap<string, Account>; digest: string };

class Broken extends Error {}

/** Reads the content of the file (UTF-8, with or without a byte order mark). A single fault makes all of it `broken`. */
export function parseAccounts(content: Uint8Array): Accounts {
  try {
    const byName = new Map(Object.entries(objectOf(content)).map(([name, value]) => [name, accountOf(name, value)]));
    return byName.size === 0
      ? { kind: 'none' }
      : { kind: 'some', byName, digest: createHash('sha256').update(content).digest('base64url') };
  } catch (error) {
    if (error instanceof Broken) return { kind: 'broken', reason: error.message };
    throw error;
  }
}

const FORM = 'expected a JSON object {"user":"password"}';

function objectOf(content: Uint8Array): object {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(content));
  } catch (error) {
    if (content.length === 0) throw new Broken(`${FORM}, got an empty file`);
    // The parser's own message quotes the file, and with it a password.
    throw new Broken(`${FORM}, got text that is not ${error instanceof SyntaxError ? 'JSON' : 'UTF-8'}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Broken(FORM);
  return value;
}

/** Forms of a hashed password. They are not taken for a plain one: whoever has read the file could sign in with the hash. */
const hashed = /^\$?(scrypt|argon2(id|i|d)?|pbkdf2[\w-]*|2[abxy]|[156])\$/;

function accountOf(name: string, value: unknown): Account {
  if (name === '' || name.includes(':')) throw new Broken('expected user names of at least one character and without a colon');
  const account = { name, role: 'admin' as const, tasks: undefined, expiresAt: undefined };
  if (value === '') throw new Broken(`expected a password of at least one character for ${quote(name)}`);
  if (typeof value !== 'string') return { ...account, ...recordOf(name, value) };
  if (hashed.test(value)) throw new Broken(`the password of ${quote(name)} is a hash: expected {"secret":"<hash>","role":"…"}`);
  return { ...account, secret: { plain: value } };
}

const FIELDS: readonly string[] = ['secret', 'role', 'tasks', 'expires'] satisfies (keyof AccountRecord)[];

function recordOf(name: string, value: unknown): Omit<Account, 'name'> {
  const fault = (expected: string) => new Broken(`the record of ${quote(name)}: expected ${expected}`);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw fault('a password or an object');
  const fields = new Map<string, unknown>(Object.entries(value));
  const unknown = [...fields.keys()].find((field) => !FIELDS.includes(field));
  if (unknown !== undefined) throw fault(`no field but ${FIELDS.join(', ')}, got ${quote(unknown)}`);
  const [secret, role, tasks, expires] = ['secret', 'role', 'tasks', 'expires'].map((field) => fields.get(field));
  const hash = typeof secret === 'string' ? parseSecretHash(secret) : undefined;
  if (hash === undefined) throw fault('a secret of the form scrypt$<N>$<r>$<p>$<salt>$<hash>');
  if (!isRole(role)) throw fault(`a role of ${roles.join(', ')}`);
  if (fields.has('tasks') && !isTaskList(tasks)) throw fault('tasks as a list of one or more names of tasks');
  const expiresAt = typeof expires === 'string' ? momentOf(expires) : undefined;
  if (fields.has('expires') && expiresAt === undefined) throw fault('expires as a date such as 2027-01-31 or 2027-01-31T12:00:00Z');
  return { secret: { hash }, role, tasks: isTaskList(tasks) ? new Set(tasks) : undefined, expiresAt };
}

export function isRole(value: unknown): value is Role {
  return roles.some((role) => role === value);
}

/** Whether this is a list of at least one possible name of a task. */
export function isTaskList(value: unknown): value is string[] {
  return Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === 'string' && taskNamePattern.test(item));
}

const MOMENT = /^(\d{4}-\d{2}-\d{2})(T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2}))?$/;

/** Milliseconds since 1970 of a day (its first moment, UTC) or a moment with its time zone; undefined when it is neither. */
export function momentOf(text: string): number | undefined {
  const day = MOMENT.exec(text)?.[1];
  if (day === undefined) return undefined;
  // Date takes the 30th of February for the 2nd of March.
  const start = Date.parse(day);
  if (Number.isNaN(start) || !new Date(start).toISOString().startsWith(day)) return undefined;
  const moment = Date.parse(text);
  return Number.isNaN(moment) ? undefined : moment;
}

function quote(text: string): string {
  return JSON.stringify(text);
}

/** The text of a key and its random part: letters and digits, so that the name ends at the last underscore. */
const KEY = /^ft_(.+)_[A-Za-z0-9]{40,}$/;

/** A key's text; `random` are at least 40 letters and digits. The record of its name holds the hash of this whole text. */
export function keyText(name: string, random: string): string {
  return `ft_${name}_${random}`;
}

/** The name in a key, or undefined when the text is none. */
export function nameOfKey(key: string): string | undefined {
  return KEY.exec(key)?.[1];
}
