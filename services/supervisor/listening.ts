import { createServer } from 'node:net';
import type { Config } from '../../shared/config.ts';
import { type ListedProcess, SupervisorError } from './pm2.ts';

interface Place {
  app: 'api' | 'redis';
  hostVariable: string;
  portVariable: string;
  host: string;
  port: number;
}

/**
 * Checks that the ports of this node's apps can be opened, but for those that this installation itself holds.
 * @throws SupervisorError with every port that is taken
 */
export async function checkPorts(config: Config, running: readonly ListedProcess[]): Promise<void> {
  const places: Place[] = [];
  if (config.runs.api) {
    places.push({ app: 'api', hostVariable: 'API_HOST', portVariable: 'API_PORT', host: config.api.host, port: config.api.port });
  }
  if (config.redis.embedded) {
    const { listenHost: host, port } = config.redis;
    places.push({ app: 'redis', hostVariable: 'MASTER_HOST', portVariable: 'TASK_QUEUE_PORT', host, port });
  }
  const faults = await Promise.all(places.filter((place) => !isOurs(place, running)).map(faultOf));
  const messages = faults.filter((fault) => fault !== undefined);
  if (messages.length > 0) throw new SupervisorError(messages.join('\n'));
}

function isOurs({ app, port, portVariable }: Place, running: readonly ListedProcess[]): boolean {
  return running.some(({ name, pid, variable }) => name === app && pid !== 0 && variable(portVariable) === String(port));
}

function faultOf(place: Place): Promise<string | undefined> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(faultText(place, error)));
    probe.listen({ host: place.host, port: place.port, exclusive: true }, () => probe.close(() => resolve(undefined)));
  });
}

function faultText({ host, port, hostVariable, portVariable }: Place, error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'EADDRINUSE':
      return `port ${port} on ${host} is taken: set ${portVariable} or stop what uses it`;
    case 'EACCES':
      return `port ${port} on ${host} may not be opened by this user: set ${portVariable} to 1024 or above`;
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return `${hostVariable}=${host} is not an address of this machine`;
    default:
      return `port ${port} on ${host} cannot be opened: ${error.message}`;
  }
}
