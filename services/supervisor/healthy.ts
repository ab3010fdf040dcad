/** For health checks of containers and services: exit code 0 when this node does its work, else 1 and the reason in one line. */
import { hostname } from 'node:os';
import { type Config, loadConfig } from '../../shared/config.ts';
import { messageOf } from '../../shared/errors.ts';
import { createLogger } from '../../shared/logger.ts';
import { onlineConsumers } from '../../shared/presence.ts';
import { connectRedis, disconnectRedis } from '../../shared/redis.ts';
import { addressOf, get } from './address.ts';

/** How long Redis may take to answer, in milliseconds. */
const ANSWER_MS = 3000;

/** Why this node does not do its work; undefined when it does. */
async function fault(config: Config): Promise<string | undefined> {
  const address = addressOf(config);
  if (address === null) return await consumerFault(config);
  const answer = await get(`${address.url}/ready`);
  if (answer === undefined) return `no answer at ${address.url}/ready`;
  return answer.status === 200 ? undefined : `${address.url}/ready: ${answer.status} ${answer.body}`;
}

/** A worker listens on no port: it is well when a consumer of this host beats in Redis. */
async function consumerFault({ redis: settings }: Config): Promise<string | undefined> {
  const redis = connectRedis(settings, { name: 'healthy', commandTimeoutMs: ANSWER_MS }, createLogger('silent', { service: 'supervisor' }));
  try {
    const consumers = await onlineConsumers(redis, settings.prefix);
    return consumers.some(({ host }) => host === hostname()) ? undefined : 'no consumer of this host is online';
  } catch (error) {
    return messageOf(error);
  } finally {
    disconnectRedis(redis);
  }
}

try {
  const found = await fault(loadConfig());
  if (found !== undefined) process.stdout.write(`${found}\n`);
  process.exit(found === undefined ? 0 : 1);
} catch (error) {
  process.stdout.write(`${messageOf(error)}\n`);
  process.exit(1);
}
