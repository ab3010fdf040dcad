import type { Config, Environment } from '../../shared/config.ts';
import type { App } from './apps.ts';
import type { ListedProcess, Pm2 } from './pm2.ts';

/** What every command works on: one node's configuration and its PM2. */
export interface Installation {
  config: Config;
  /** The caller's variables. */
  environment: Environment;
  pm2: Pm2;
  /** Prints one line for the person who typed the command. */
  say: (line: string) => void;
  /** Aborted by Ctrl-C. */
  signal: AbortSignal;
}

/** The names of all apps, in the order in which they are stopped: no new jobs, then the running ones, then the queue. */
export const stopOrder = ['api', 'consumer', 'janitor', 'redis'] as const satisfies readonly App['name'][];

/** Of a daemon's processes those that are ours; a shared PM2_HOME may hold others. */
export function ours(list: readonly ListedProcess[]): ListedProcess[] {
  return list.filter(({ name }) => stopOrder.some((own) => own === name));
}
