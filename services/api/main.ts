/** The API process: starts, serves, and ends without losing a request. */
import { loadConfig } from '../../shared/config.ts';
import { FastTaskError, messageOf } from '../../shared/errors.ts';
import { createLogger } from '../../shared/logger.ts';
import { createApp } from './app.ts';
import { Backend } from './backend.ts';
import { Server } from './server.ts';

/** How long the process waits for Redis before it listens without, in milliseconds. */
const SETTLE_MS = 2000;

/** How long a process with an unexpected error may still answer what it has begun, in milliseconds. */
const CRASH_MS = 2000;

try {
  await main();
} catch (error) {
  if (!(error instanceof FastTaskError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}

async function main(): Promise<void> {
  const config = loadConfig();
  const log = createLogger(config.logLevel, { service: 'api', ...(config.runningId === undefined ? {} : { runningId: config.runningId }) });
  const backend = new Backend(config, log);
  const answer = createApp(backend, log).callback();
  const server = new Server(config, (request, response) => void answer(request, response), log);

  let stopping = false;
  const stop = async (reason: string) => {
    if (stopping) process.exit(1);
    stopping = true;
    log.info({ reason }, 'api.stopping');
    backend.release();
    await server.stop();
    backend.stop();
    log.info({}, 'api.stopped');
    process.exit(0);
  };
  const crash = (error: unknown) => {
    const stack = error instanceof Error && !(error instanceof FastTaskError) ? { stack: error.stack } : {};
    log.fatal({ reason: messageOf(error), ...stack }, 'api.crashed');
    setTimeout(() => process.exit(1), CRASH_MS);
    backend.release();
    void server.stop().then(() => process.exit(1));
  };
  process.on('SIGINT', () => void stop('SIGINT'));
  process.on('SIGTERM', () => void stop('SIGTERM'));
  process.on('message', (message) => void (message === 'shutdown' && stop('shutdown')));
  process.once('uncaughtException', crash);
  process.once('unhandledRejection', crash);

  backend.start();
  // Who listens takes connections: a process that replaces another should be able to serve them.
  await backend.settle(SETTLE_MS);
  await server.listen();
  log.info({ host: config.api.host, port: config.api.port, tls: config.tls.enabled, nodeType: config.nodeType }, 'api.listening');
  // Once for the app, not for each of its processes.
  if (config.instance === 0) for (const notice of config.notices) log.warn({ notice }, 'config.noticed');
  await backend.access.announce(config.api.host, log);
  process.send?.('ready');
}
