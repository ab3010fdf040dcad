import { chmodSync, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Config } from '../../shared/config.ts';
import { messageOf } from '../../shared/errors.ts';
import { createLogger } from '../../shared/logger.ts';
import { answering, connectRedis, disconnectRedis, type Redis } from '../../shared/redis.ts';
import { moveFile } from './backup-archive.ts';
import { SupervisorError } from './pm2.ts';

/** How long Redis may take for one answer, in milliseconds. */
const ANSWER_MS = 5000;

/** Pause before it is asked again how far it is, in milliseconds. */
const PAUSE_MS = 100;

/**
 * Lets the embedded server, which goes on working, write its data as they are at one moment (BGSAVE), and takes the file.
 * @param dataDir the server's folder; its own append-only file there is not touched
 * @throws SupervisorError
 */
export async function takeSnapshot(config: Config, dataDir: string, target: string, signal: AbortSignal): Promise<void> {
  const written = join(dataDir, 'dump.rdb');
  const redis = connectRedis(
    config.redis,
    { name: 'backup', commandTimeoutMs: ANSWER_MS },
    createLogger('silent', { service: 'supervisor' }),
  );
  try {
    await untilIdle(redis, signal);
    // The server never reads it: what it starts with is its append-only file.
    rmSync(written, { force: true });
    await answering(redis, () => redis.bgsave());
    await untilIdle(redis, signal);
  } catch (error) {
    if (signal.aborted) throw new SupervisorError('interrupted: nothing was saved');
    throw new SupervisorError(
      `Redis at ${config.redis.host}:${config.redis.port}: ${messageOf(error)}; a backup is made of a node that runs`,
    );
  } finally {
    disconnectRedis(redis);
  }
  if (!existsSync(written)) throw new SupervisorError(`Redis could not write its data to ${dataDir}: its log says why`);
  // Redis leaves it to the folder who may read it.
  chmodSync(written, 0o600);
  moveFile(written, target);
}

/** Waits until the server neither saves nor rewrites its file. */
async function untilIdle(redis: Redis, signal: AbortSignal): Promise<void> {
  for (;;) {
    const info = await answering(redis, () => redis.info('persistence'));
    if (!/^(rdb_bgsave_in_progress|aof_rewrite_in_progress|aof_rewrite_scheduled):[^0]/m.test(info)) return;
    await pause(PAUSE_MS, undefined, { signal });
  }
}
