import type { Config } from '../../shared/config.ts';
import type { NodeAddress } from './address.ts';
import type { Pm2 } from './pm2.ts';

interface Facts {
  config: Config;
  pm2: Pm2;
  say: (line: string) => void;
  address: NodeAddress | null;
  /** Undefined when the API did not tell. */
  tasks: readonly string[] | undefined;
}

/** A task of the examples, with which the first call is shown. */
const EXAMPLE = { task: 'get_circle_area', body: '{"radius":5}' };

/** Says where the node is and how to use it. */
export function report({ config, pm2, say, address, tasks }: Facts): void {
  say(`FastTask is running (${config.nodeType})`);
  if (address === null) {
    say(`  queue     ${config.redis.url === undefined ? `${config.redis.host}:${config.redis.port}` : 'REDIS_URL'}`);
  } else {
    say(`  API       ${address.url}`);
    if (address.docs) say(`  docs      ${address.url}/docs`);
    if (tasks !== undefined) say(`  tasks     ${tasks.length === 0 ? noTasks(config) : tasks.join(', ')}`);
  }
  say(`  PM2_HOME  ${pm2.home} (npm run pm2 -- ls, monit, logs …)`);
  say(`  logs      ${config.dirs.log}`);
  if (address !== null && config.api.serves.run && (tasks === undefined || tasks.includes(EXAMPLE.task))) {
    const insecure = config.tls.enabled && !config.tls.ownCertificate ? ' -k' : '';
    const account = tasks === undefined ? ' -u USER:PASSWORD' : '';
    say('  try');
    say(`curl${insecure}${account} -X POST ${address.url}/run/${EXAMPLE.task} -H 'content-type: application/json' -d '${EXAMPLE.body}'`);
  }
}

function noTasks({ runs, dirs }: Config): string {
  return runs.consumer
    ? `none was loaded from ${dirs.tasks}; the consumer's log says why`
    : 'none yet: they appear when a distributed_worker starts';
}
