/** Run by ecosystem.config.cjs: reads the caller's environment from standard input, prints PM2's apps, and the names of variables that they must not inherit, as JSON. */
import { readFileSync } from 'node:fs';
import { type Environment, loadConfig } from '../../shared/config.ts';
import { secretVariables } from '../../shared/config-variables.ts';
import { FastTaskError } from '../../shared/errors.ts';
import { findRedis } from '../redis/find.ts';
import { RedisMissingError } from '../redis/unpack.ts';
import { prepare } from './preparation.ts';

/** PM2 waits for the ecosystem file, so nothing is downloaded here. */
async function foundRedis(dir: string) {
  const server = await findRedis({ dir });
  if (server === undefined)
    throw new RedisMissingError(
      'no Redis (6.2 or newer) or Valkey on the PATH: install one, set REDIS_URL, or run `npm start`, which unpacks one',
    );
  return server;
}

function environmentFrom(text: string): Environment {
  const given: unknown = JSON.parse(text);
  return Object.fromEntries(Object.entries(given ?? {}).filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
}

const warn = (line: string) => process.stderr.write(`${line}\n`);

try {
  const environment = environmentFrom(readFileSync(0, 'utf8'));
  const config = loadConfig(environment);
  for (const notice of config.notices) warn(notice);
  const { apps } = await prepare(config, environment, foundRedis, warn);
  process.stdout.write(JSON.stringify({ apps, secrets: secretVariables }));
} catch (error) {
  if (!(error instanceof FastTaskError)) throw error;
  warn(error.message);
  process.exitCode = 1;
}
