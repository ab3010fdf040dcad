import { type Config, isLoopback } from '../../shared/config.ts';
import { messageOf } from '../../shared/errors.ts';
import { AccountsStore } from './accounts-store.ts';

/** Who may call this node's API: those with an account (or this machine's users), everybody who reaches it, or nobody. */
export type Callers = { are: 'listed' | 'everybody' | 'nobody yet' } | { are: 'nobody'; reason: string };

/** Reads the accounts file. `nobody yet`: there is none, and the API listens beyond loopback; `nobody`: the file cannot be read. */
export function callersOf(config: Config): Callers {
  const { api } = config;
  if (isLoopback(api.host)) return { are: 'listed' };
  try {
    if (new AccountsStore(config).accounts().kind === 'some') return { are: 'listed' };
  } catch (error) {
    return { are: 'nobody', reason: messageOf(error) };
  }
  return { are: api.allowAnonymous ? 'everybody' : 'nobody yet' };
}
