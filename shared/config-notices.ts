import { resolve } from 'node:path';
import { derivedFrom, type Folders } from './config-folders.ts';
import { isLoopback, type RedisSettings, SHORT_PASSWORD } from './config-redis.ts';
import type { Source } from './config-source.ts';
import { type NodeType, variableNames } from './config-variables.ts';

/** What is worth a warning but no reason not to start; each is one line, logged once. */
export function noticesOf(
  { read, unused, replaced }: Source,
  nodeType: NodeType,
  dirs: Folders,
  redis: RedisSettings,
  slots: { processes: number; concurrency: number },
): string[] {
  const notices: string[] = [];
  if (unused.length > 0) notices.push(`not used by a ${nodeType}, ignored: ${unused.join(', ')}`);
  if (replaced.length > 0) notices.push(`REDIS_URL is set, ignored: ${replaced.join(', ')}`);
  const derived = derivedFrom(dirs);
  for (const name of variableNames) {
    const [given, value] = [read[name], derived[name]];
    // SSL_CERT_DIR is OpenSSL's own and set on many machines.
    if (given === undefined || value === undefined || name === 'SSL_CERT_DIR' || resolve(dirs.root, given.trim()) === value) continue;
    notices.push(`${name} follows from FILES_DIR (${value}), ignored: ${given}`);
  }
  if (read.LOADED_TASKS !== undefined) notices.push('LOADED_TASKS follows from the task files, ignored');
  if (redis.embedded && !isLoopback(redis.listenHost) && redis.password.length < SHORT_PASSWORD) {
    notices.push(`TASK_QUEUE_PASSWD has fewer than ${SHORT_PASSWORD} characters and Redis listens on ${redis.listenHost}`);
  }
  if (nodeType === 'distributed_master' && redis.embedded && isLoopback(redis.listenHost)) {
    notices.push(`Redis listens on ${redis.listenHost} (MASTER_HOST): workers on other machines cannot reach it`);
  }
  if (slots.processes > slots.concurrency) {
    notices.push(
      `CONSUMER_PROCESSES (${slots.processes}) is more than WORKER_CONCURRENCY (${slots.concurrency}), ${slots.concurrency} used`,
    );
  }
  return notices;
}
