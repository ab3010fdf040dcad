/** `npm run user`: who may call the API. It writes the accounts file; the API's processes notice that by themselves. */
import { randomBytes } from 'node:crypto';
import { type Account, keyText } from '../../shared/accounts.ts';
import { SHORT_PASSWORD } from '../../shared/config-redis.ts';
import { hashSecret } from '../../shared/secret-hash.ts';
import { AccountsStore } from './accounts-store.ts';
import type { Installation } from './installation.ts';
import { readPassword } from './password.ts';
import { SupervisorError } from './pm2.ts';
import { readUserCommand, type UserCommand } from './user-options.ts';

const USAGE =
  'add NAME, key NAME, revoke NAME or list, with --role submitter|viewer|admin, --tasks a,b, --expires 2027-01-31|90d, --replace';

const HOLDS = 'the API notices it within 10 s';

/** Adds an account or a key, takes one away, or lists them. @throws SupervisorError with one line */
export async function user({ config, say }: Installation, args: readonly string[]): Promise<void> {
  if (!config.runs.api) throw new SupervisorError('accounts belong to the node that runs the API: use the command there');
  const command = readUserCommand(args);
  const store = new AccountsStore(config);
  const accounts = store.accounts();
  const known = accounts.kind === 'some' ? accounts.byName : new Map<string, Account>();
  switch (command.action) {
    case 'list':
      return list([...known.values()], say);
    case 'revoke':
      return await revoke(store, nameOf(command), say);
    case 'add':
    case 'key':
      checkFree(known.has(nameOf(command)), command);
      return command.action === 'add' ? await add(store, command, say) : await addKey(store, command, say);
    default:
      throw new SupervisorError(`expected ${USAGE}; got ${command.action ?? 'nothing'}`);
  }
}

type Say = Installation['say'];

const NAME = /^[A-Za-z0-9_.@-]{1,64}$/;

function nameOf({ action, name }: UserCommand): string {
  if (name === undefined) throw new SupervisorError(`${action} needs a name`);
  // An old file may have other names: those can be taken away.
  if (action !== 'revoke' && !NAME.test(name)) throw new SupervisorError(`name ${name}: expected 1 to 64 letters, digits or _ . @ -`);
  if (action !== 'revoke' && name === 'Anonymous')
    throw new SupervisorError('Anonymous is who calls without an account: expected another name');
  return name;
}

function checkFree(taken: boolean, { name, replace }: UserCommand): void {
  if (taken && !replace) throw new SupervisorError(`${name} exists: --replace gives it a new secret, role, tasks and end`);
}

async function add(store: AccountsStore, command: UserCommand, say: Say): Promise<void> {
  const given = await readPassword(nameOf(command));
  const password = given === '' ? randomBytes(18).toString('base64url') : given;
  await write(store, command, password, say);
  if (password.length < SHORT_PASSWORD) say(`its password has fewer than ${SHORT_PASSWORD} characters: others may guess it`);
  if (given === '') say(`its password, shown this once: ${password}`);
}

async function addKey(store: AccountsStore, command: UserCommand, say: Say): Promise<void> {
  const key = keyText(nameOf(command), randomBytes(24).toString('hex'));
  await write(store, command, key, say);
  say('its key, shown this once; send it as "Authorization: Bearer KEY":');
  say(key);
}

async function write(store: AccountsStore, command: UserCommand, secret: string, say: Say): Promise<void> {
  const name = nameOf(command);
  const record = { secret: await hashSecret(secret), ...command.grant };
  let first = false;
  await store.change((records) => {
    checkFree(records.has(name), command);
    first = records.size === 0;
    records.set(name, record);
  });
  const { role, tasks, expires } = command.grant;
  const limits = [
    role,
    ...(tasks === undefined ? [] : [`tasks ${tasks.join(', ')}`]),
    ...(expires === undefined ? [] : [`until ${expires}`]),
  ];
  say(`${name} is written (${limits.join('; ')}): ${HOLDS}`);
  if (first) say('it is the first account: from now on everybody must sign in');
  noticeAdmins(store, say);
}

/** Without an admin nobody sees what belongs to nobody, such as files from before there were accounts. */
function noticeAdmins(store: AccountsStore, say: Say): void {
  const accounts = store.accounts();
  if (accounts.kind !== 'some') return;
  const lasting = [...accounts.byName.values()].filter(({ expiresAt }) => expiresAt === undefined || expiresAt > Date.now());
  if (!lasting.some(({ role }) => role === 'admin')) say('nobody is an admin: npm run user -- add NAME --role admin');
}

async function revoke(store: AccountsStore, name: string, say: Say): Promise<void> {
  let last = false;
  await store.change((records) => {
    if (!records.delete(name)) throw new SupervisorError(`there is no account ${name}`);
    last = records.size === 0;
  });
  say(`${name} is removed: ${HOLDS}`);
  noticeAdmins(store, say);
  if (last) say('no account is left: from now on nobody must sign in, where the API allows anonymous access');
}

function list(accounts: readonly Account[], say: Say): void {
  if (accounts.length === 0) return say('no accounts: nobody must sign in, where the API allows anonymous access');
  const width = Math.max(...accounts.map(({ name }) => name.length));
  for (const { name, role, tasks, expiresAt, secret } of accounts) {
    const notes = [
      ...(tasks === undefined ? [] : [`tasks ${[...tasks].join(', ')}`]),
      ...(expiresAt === undefined ? [] : [`${expiresAt <= Date.now() ? 'ended' : 'until'} ${new Date(expiresAt).toISOString()}`]),
      ...('plain' in secret ? ['plain password'] : []),
    ];
    say(`${name.padEnd(width)}  ${role.padEnd(9)}  ${notes.join('; ')}`.trimEnd());
  }
}
