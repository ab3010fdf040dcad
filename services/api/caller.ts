/** Who calls, and what they may do. What a caller may not see does not exist for them: 404, never 403. */
import type { Role } from '../../shared/accounts.ts';

/** Somebody who was let in. */
export interface Caller {
  /** The account's name; `Anonymous` where nobody has to sign in. Jobs and files belong to it. */
  readonly name: string;
  readonly role: Role;
  /** The tasks that the account may use; undefined: all. */
  readonly tasks?: ReadonlySet<string> | undefined;
}

export const ANONYMOUS: Caller = { name: 'Anonymous', role: 'admin' };

/** Whether a task exists for this caller. */
export function knowsTask({ tasks }: Caller, task: string): boolean {
  return tasks === undefined || tasks.has(task);
}

/** Whether everybody's jobs and files exist for this caller. */
export function seesAll({ role }: Caller): boolean {
  return role !== 'submitter';
}

/** Whether a job or file of `owner` exists for this caller; `undefined` is somebody unknown. */
export function sees(caller: Caller, owner: string | undefined): boolean {
  return seesAll(caller) || owner === caller.name;
}

/** Whether this caller may submit, revoke and upload at all. */
export function mayChange({ role }: Caller): boolean {
  return role !== 'viewer';
}
