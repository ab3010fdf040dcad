import { join } from 'node:path';
import { type Config, type Environment, SECRETS_FILE_VARIABLE } from '../../shared/config.ts';
import { describe, rules, secretVariables, type VariableName } from '../../shared/config-variables.ts';

/** One app of PM2's ecosystem file; the names are PM2's. */
export interface App {
  name: 'redis' | 'api' | 'consumer' | 'janitor';
  script: string;
  args?: string;
  cwd: string;
  interpreter: string;
  exec_mode: 'fork' | 'cluster';
  instances: number;
  env: Record<string, string>;
  filter_env: string[];
  out_file: string;
  error_file: string;
  merge_logs: true;
  time: false;
  pmx: false;
  treekill: false;
  autorestart: boolean;
  kill_timeout: number;
  max_restarts?: number;
  exp_backoff_restart_delay?: number;
  wait_ready?: true;
  listen_timeout?: number;
  cron_restart?: string;
}

/** What the apps depend on beside the configuration. */
export interface AppFacts {
  /** The caller's variables. */
  environment: Environment;
  /** The folder with package.json and dist/. */
  projectDir: string;
  /** The node program that runs the services. */
  node: string;
  /** Threads that this machine runs at once. */
  cores: number;
  /** The embedded server, when this node has one. */
  redis: { command: string; env: Readonly<Record<string, string>>; conf: string; confDigest: string } | undefined;
  secretsFile: string;
}

/** In the environment of the embedded server: tells with which settings the running one was started. */
export const REDIS_CONF_DIGEST = 'FASTTASK_REDIS_CONF_DIGEST';

/** Milliseconds that a service may need from its start until it says that it is ready. */
const LISTEN_TIMEOUT_MS = 10_000;

/** Milliseconds that the API has to answer what is under way; its own deadline is shorter. */
const API_KILL_TIMEOUT_MS = 10_000;

/** Milliseconds that the consumer has beyond its drain deadline, to hand back what still runs. */
const AFTER_DRAIN_MS = 5_000;

const REDIS_KILL_TIMEOUT_MS = 20_000;
const JANITOR_KILL_TIMEOUT_MS = 5_000;
const JANITOR_CRON = '*/10 * * * *';

/** Far more than PM2 reaches in a year: it would otherwise give up after 16 quick restarts and strand the node. */
const RESTARTS_WITHOUT_END = 10_000_000;

/** The first delay before a restart, in milliseconds; PM2 multiplies it by 1.5 each time, up to 15 s. */
const FIRST_RESTART_DELAY_MS = 100;

/**
 * For glibc in a consumer: its threads share as many pools of memory as cores can use at once. With a pool for each thread, glibc's default, what one
 * has freed serves no other, and a resting consumer of two cores has 10 to 20 MB more (`npm run bench -- --cases memory`).
 */
export function allocatorSettings(cores: number): { MALLOC_ARENA_MAX: string } {
  return { MALLOC_ARENA_MAX: String(Math.max(2, cores)) };
}

/** The apps of a node of this type, in the order in which they are best started. */
export function appsFor(config: Config, facts: AppFacts): App[] {
  const apps = [redisApp(config, facts), config.runs.api && apiApp(config, facts), config.runs.consumer && consumerApp(config, facts)];
  return [...apps, janitorApp(config, facts)].filter((app) => app !== undefined && app !== false);
}

function redisApp(config: Config, facts: AppFacts): App | undefined {
  if (facts.redis === undefined) return undefined;
  return {
    ...common(config, 'redis'),
    ...lasting,
    script: facts.redis.command,
    args: facts.redis.conf,
    interpreter: 'none',
    env: {
      ...systemVariables(facts.environment),
      ...facts.redis.env,
      TASK_QUEUE_PORT: String(config.redis.port),
      [REDIS_CONF_DIGEST]: facts.redis.confDigest,
    },
    kill_timeout: REDIS_KILL_TIMEOUT_MS,
  };
}

function apiApp(config: Config, facts: AppFacts): App {
  const { env, ...rest } = service('api', config, facts);
  return {
    ...common(config, 'api'),
    ...lasting,
    ...rest,
    env: { ...env, API_PORT: String(config.api.port) },
    exec_mode: 'cluster',
    instances: config.api.processes,
    wait_ready: true,
    listen_timeout: LISTEN_TIMEOUT_MS,
    kill_timeout: API_KILL_TIMEOUT_MS,
  };
}

function consumerApp(config: Config, facts: AppFacts): App {
  const { env, ...rest } = service('consumer', config, facts);
  return {
    ...common(config, 'consumer'),
    ...lasting,
    ...rest,
    env: { ...allocatorSettings(facts.cores), ...taskVariables(facts.environment), ...env },
    instances: config.consumer.processes,
    wait_ready: true,
    listen_timeout: LISTEN_TIMEOUT_MS,
    kill_timeout: config.consumer.drainSeconds * 1000 + AFTER_DRAIN_MS,
  };
}

function janitorApp(config: Config, facts: AppFacts): App {
  return {
    ...common(config, 'janitor'),
    ...service('janitor', config, facts),
    autorestart: false,
    cron_restart: JANITOR_CRON,
    kill_timeout: JANITOR_KILL_TIMEOUT_MS,
  };
}

function common(config: Config, name: App['name']) {
  const log = join(config.dirs.log, `${name}.log`);
  return {
    name,
    cwd: config.dirs.root,
    exec_mode: 'fork',
    instances: 1,
    // Every name contains the empty text: PM2 takes over nothing from the environment of whoever calls it.
    filter_env: [''],
    out_file: log,
    error_file: log,
    merge_logs: true,
    time: false,
    pmx: false,
    // A stopping consumer drains: the signal is for it alone and not for the processes in which its jobs run.
    treekill: false,
    autorestart: true,
  } as const satisfies Partial<App>;
}

const lasting = { max_restarts: RESTARTS_WITHOUT_END, exp_backoff_restart_delay: FIRST_RESTART_DELAY_MS };

function service(name: 'api' | 'consumer' | 'janitor', config: Config, facts: AppFacts) {
  return {
    // The bundle of main.ts.
    script: join(facts.projectDir, 'dist/services', name, 'bundle.js'),
    interpreter: facts.node,
    env: {
      ...systemVariables(facts.environment),
      ...ownVariables(facts.environment),
      NODE_TYPE: config.nodeType,
      FASTTASK_DIR: config.dirs.root,
      [SECRETS_FILE_VARIABLE]: facts.secretsFile,
    },
  };
}

/** Variables of the system that programs expect; whatever else the caller has set stays with the caller. */
export const systemVariableNames = ['PATH', 'HOME', 'USER', 'LOGNAME', 'SHELL', 'LANG', 'LC_ALL', 'TZ', 'TMPDIR'] as const;

/** The caller's values of `systemVariableNames`. */
export function systemVariables(environment: Environment): Record<string, string> {
  return Object.fromEntries(systemVariableNames.flatMap((name) => (environment[name] === undefined ? [] : [[name, environment[name]]])));
}

/** Variables of npm, PM2 and this program's own start, which mean nothing to a task. */
const notForTasks = /^(npm_|PM2_|pm_|INIT_CWD$|NODE$|NODE_APP_INSTANCE$|NODE_CHANNEL|FASTTASK_|_$|SHLVL$|PWD$|OLDPWD$)/;

/** The caller's variables for tasks, such as the address of their database; without our secrets. */
function taskVariables(environment: Environment): Record<string, string> {
  const entries = Object.entries(environment).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return Object.fromEntries(entries.filter(([name]) => !notForTasks.test(name) && !secretVariables.some((secret) => secret === name)));
}

/**
 * Our variables as the caller set them. Those that are not set are passed on empty, which means the same: PM2 merges a new
 * environment into the old one, so that a name left out would keep its old value. Secrets are emptied for the same reason.
 */
function ownVariables(environment: Environment): Record<string, string> {
  const names = (Object.keys(rules) as VariableName[]).filter((name) => name !== 'PM2_HOME' && !describe(name).derived);
  return Object.fromEntries(names.map((name) => [name, describe(name).secret ? '' : givenValue(name, environment)]));
}

function givenValue(name: VariableName, environment: Environment): string {
  const { alias } = describe(name);
  return environment[name] || (alias === undefined ? '' : environment[alias]) || '';
}
