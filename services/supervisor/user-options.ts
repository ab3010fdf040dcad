import { parseArgs } from 'node:util';
import { type AccountRecord, isRole, isTaskList, momentOf, roles } from '../../shared/accounts.ts';
import { messageOf } from '../../shared/errors.ts';
import { SupervisorError } from './pm2.ts';

/** What `npm run user` was asked for. */
export interface UserCommand {
  action: string | undefined;
  name: string | undefined;
  /** Of the new record; a submitter where no role was given. */
  grant: Omit<AccountRecord, 'secret'>;
  /** Overwrite a record of this name. */
  replace: boolean;
}

const DAY_MS = 86_400_000;

/** @throws SupervisorError with one line that says what was expected */
export function readUserCommand(args: readonly string[], now: number = Date.now()): UserCommand {
  const { values, positionals } = parsed(args);
  const [action, name, ...rest] = positionals;
  if (rest.length > 0) throw new SupervisorError(`expected one name, got ${[name, ...rest].join(' ')}`);
  const { role = 'submitter', tasks, expires, replace = false } = values;
  if (!isRole(role)) throw new SupervisorError(`--role ${role}: expected ${roles.join(', ')}`);
  return {
    action,
    name,
    grant: {
      role,
      ...(tasks === undefined ? {} : { tasks: taskList(tasks) }),
      ...(expires === undefined ? {} : { expires: endOf(expires, now) }),
    },
    replace,
  };
}

function parsed(args: readonly string[]) {
  const text = { type: 'string' } as const;
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { role: text, tasks: text, expires: text, replace: { type: 'boolean' } },
    });
  } catch (error) {
    throw new SupervisorError(`${messageOf(error).split('. ')[0]}; expected --role, --tasks, --expires or --replace`);
  }
}

function taskList(text: string): string[] {
  const names = text.split(',').map((name) => name.trim());
  if (!isTaskList(names)) throw new SupervisorError(`--tasks ${text}: expected names of tasks with commas between them`);
  return names;
}

/** A day or moment as it is, a number of days as the moment that is so far away. */
function endOf(text: string, now: number): string {
  const days = /^(\d{1,4})d$/.exec(text)?.[1];
  const end = days === undefined ? text : `${new Date(now + Number(days) * DAY_MS).toISOString().slice(0, 19)}Z`;
  const moment = momentOf(end);
  if (moment === undefined || moment <= now)
    throw new SupervisorError(`--expires ${text}: expected a coming day (2027-01-31) or a number of days (90d)`);
  return end;
}
