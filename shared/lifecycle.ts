/** How every service starts, tells PM2 that it is ready, and stops: once gently, at once when told twice. */
import { FastTaskError, messageOf } from './errors.ts';
import type { Logger } from './logger.ts';

export interface RunningService {
  log: Logger;
  /** Takes nothing new, drains, closes. Called once. */
  stop(): Promise<void>;
}

/**
 * Runs a service until SIGINT, SIGTERM or PM2's 'shutdown' message; then `stop`, then exit code 0. A second signal ends the
 * process at once with code 1. A fault of the configuration, or of Redis, is printed and ends it with code 1.
 */
export async function runService(name: string, start: () => Promise<RunningService>): Promise<void> {
  let service: RunningService | undefined;
  let stopping = false;
  const stop = (signal: string): void => {
    if (stopping) process.exit(1);
    stopping = true;
    service?.log.info({ signal }, 'service.stopping');
    (service?.stop() ?? Promise.resolve()).then(
      () => process.exit(0),
      (error: unknown) => {
        service?.log.error({ reason: messageOf(error) }, 'service.stop_failed');
        process.exit(1);
      },
    );
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stop(signal));
  process.on('message', (message) => {
    if (message === 'shutdown') stop('shutdown');
  });
  process.on('uncaughtException', (error) => fail(name, service, error));
  process.on('unhandledRejection', (error) => fail(name, service, error));
  try {
    service = await start();
    process.send?.('ready');
  } catch (error) {
    fail(name, undefined, error);
  }
}

/** Writes why the process ends, and ends it: its supervisor starts it again. */
function fail(name: string, service: RunningService | undefined, error: unknown): void {
  // What was foreseen says in its own words what mends it.
  if (service === undefined && error instanceof FastTaskError) process.stderr.write(`${error.message}\n`);
  else if (service === undefined)
    process.stderr.write(`${name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  else service.log.fatal({ reason: messageOf(error), stack: error instanceof Error ? error.stack : undefined }, 'service.failed');
  process.exit(1);
}
