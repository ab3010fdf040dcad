/** The first step in a container: stops one that nobody could use, or whose settings are wrong, before anything is started. */
import { loadConfig } from '../../shared/config.ts';
import { FastTaskError } from '../../shared/errors.ts';
import { callersOf } from './callers.ts';
import { SupervisorError } from './pm2.ts';

/** What mends a container without accounts: one of two lines. */
const NO_CALLERS = [
  'nobody could use this API, because there are no accounts. Make one in its volume: docker run --rm -it -v VOLUME:/fasttask/files IMAGE user add NAME --role admin',
  'or let everybody in who reaches its port: -e API_ALLOW_ANONYMOUS=True',
].join('\n');

try {
  const config = loadConfig();
  const callers = config.runs.api ? callersOf(config) : undefined;
  if (callers?.are === 'nobody yet') throw new SupervisorError(NO_CALLERS);
  if (callers?.are === 'nobody') throw new SupervisorError(callers.reason);
} catch (error) {
  if (!(error instanceof FastTaskError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
