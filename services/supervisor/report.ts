import type { Config } from '../../shared/config.ts';
import type { NodeAddress } from './address.ts';
import { callersOf } from './callers.ts';
import type { Pm2 } from './pm2.ts';

interface Facts {
  config: Config;
  pm2: Pm2;
  say: (line: string) => void;
  address: NodeAddress | null;
  /** Undefined when the API did not tell. */
  tasks: readonly string[] | undefined;
  /** Left out where it is not known. */
  redisAnswers?: boolean;
}

/** A task of the examples, with which the first call is shown. */
const EXAMPLE = { task: 'get_circle_area', body: '{"radius":5}' };

/** Says where the node is and how to use it. */
export function report({ config, pm2, say, address, tasks, redisAnswers = true }: Facts): void {
  say(`FastTask is running (${config.nodeType})`);
  if (address === null) {
    const queue = config.redis.url === undefined ? `${config.redis.host}:${config.redis.port}` : 'REDIS_URL';
    say(`  queue     ${queue}${redisAnswers ? '' : ' (no connection yet: this worker takes no jobs until there is one)'}`);
  } else {
    say(`  API       ${address.url}`);
    if (address.docs) say(`  docs      ${address.url}/docs`);
    for (const line of accessLines(config)) say(line);
    say(`  tasks     ${taskLine(config, tasks)}`);
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

/** What the owner of a machine should know of who may call an API that listens beyond loopback. */
function accessLines(config: Config): string[] {
  const { host, port } = config.api;
  const callers = callersOf(config);
  switch (callers.are) {
    case 'listed':
      return [];
    case 'nobody':
      return [`  access    nobody: ${callers.reason}`];
    case 'everybody':
      return [`  access    everybody who reaches ${host}:${port}: there are no accounts, and API_ALLOW_ANONYMOUS is True`];
    case 'nobody yet':
      return [
        `  access    nobody yet: the API listens on ${host} and there are no accounts. Make one: npm run user -- add NAME --role admin`,
        '            or let everybody in who reaches it: API_ALLOW_ANONYMOUS=True',
      ];
  }
}

function taskLine({ runs, dirs }: Config, tasks: Facts['tasks']): string {
  if (tasks === undefined) return 'shown to who signs in, at /docs';
  if (tasks.length > 0) return tasks.join(', ');
  return runs.consumer
    ? `none was loaded from ${dirs.tasks}; the consumer's log says why`
    : 'none yet: they appear when a distributed_worker starts';
}
