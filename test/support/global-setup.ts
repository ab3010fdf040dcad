/** Checks once, before any test that starts processes, that there is something to start. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { projectDir } from '../../shared/config.ts';
import { messageOf } from '../../shared/errors.ts';
import { redisProgram } from './redis.ts';

export default async function setup(): Promise<void> {
  const built = join(projectDir, 'dist', 'shared', 'config.js');
  if (!existsSync(built)) throw new Error(`${built} is missing: run the tests with npm test, or npm run build first`);
  try {
    await redisProgram();
  } catch (error) {
    throw new Error(`the tests need redis-server or valkey-server 6.2 or later: ${messageOf(error)}`);
  }
}
