import type { cleanEnv } from 'envalid';
import { bytes, flag, host, matching, oneOf, origins, port, seconds, taskNames, text, whole } from './config-validators.ts';

export type NodeType = 'single_node' | 'distributed_master' | 'distributed_worker';

/** Which part of a node reads a variable. `all` parts run on every node; the others only where `partsOf` says. */
export type Part = 'all' | 'api' | 'consumer' | 'redis';

/** What a node of each type runs. */
export const partsOf: Record<NodeType, readonly Part[]> = {
  single_node: ['all', 'api', 'consumer', 'redis'],
  distributed_master: ['all', 'api', 'redis'],
  distributed_worker: ['all', 'consumer', 'redis'],
};

interface Description {
  part: Part;
  /** The default as the documentation shows it. */
  shows: string;
  desc: string;
  /** Another accepted name; the documented name wins when both are set. */
  alias?: string;
  /** Never printed, and kept out of the environment of consumers. */
  secret?: boolean;
  /** Follows from other variables: another value is ignored with one warning. */
  derived?: boolean;
}

const on = (part: Part, shows: string, desc: string, more: Partial<Description> = {}): Description => ({ part, shows, desc, ...more });

/** Every variable: its rule (envalid), and what the documentation says. Defaults that depend on others stand in config.ts. */
export const rules = {
  NODE_TYPE: oneOf('single_node', 'distributed_master', 'distributed_worker')(),
  RUNNING_ID: matching(/^[A-Za-z0-9_-]{1,64}$/, '1 to 64 characters of A-Z a-z 0-9 _ -')({ default: undefined }),
  SOFT_TIME_LIMIT: seconds()({ default: 1800 }),
  TIME_LIMIT: seconds()({ default: undefined }),
  VISIBILITY_TIMEOUT: seconds()({ default: undefined }),
  FASTTASK_DIR: text({ default: undefined }),
  FILES_DIR: text({ default: undefined }),
  TASKS_DIR: text({ default: undefined }),
  FASTTASK_FILES_DIR: text({ default: undefined }),
  LOG_DIR: text({ default: undefined }),
  CONF_DIR: text({ default: undefined }),
  SSL_CERT_DIR: text({ default: undefined }),
  CELERY_DIR: text({ default: undefined }),
  LOADED_TASKS: text({ default: undefined }),
  SSL_KEYFILE: text({ default: undefined }),
  SSL_CERTFILE: text({ default: undefined }),
  PM2_HOME: text({ default: undefined }),
  WORKER_POOL: oneOf('prefork', 'gevent', 'threads', 'async')({ default: 'prefork' }),
  WORKER_CONCURRENCY: whole(1, 10_000)({ default: undefined }),
  WORKER_MAX_TASKS_PER_CHILD: whole(1)({ default: undefined }),
  CONSUMER_PROCESSES: whole(1, 256)({ default: 1 }),
  WORKER_TAG: matching(/^[A-Za-z0-9_.-]{1,64}$/, '1 to 64 characters of A-Z a-z 0-9 _ . -')({ default: undefined }),
  ENABLED_TASKS: taskNames({ default: undefined }),
  DISABLED_TASKS: taskNames({ default: undefined }),
  RESULT_EXPIRES: seconds()({ default: 86_400 }),
  RESULT_MAX_BYTES: bytes({ default: 10 * 1024 ** 2 }),
  DRAIN_TIMEOUT: seconds()({ default: 30 }),
  MASTER_HOST: host({ default: undefined }),
  TASK_QUEUE_PORT: port({ default: undefined }),
  TASK_QUEUE_PASSWD: text({ default: undefined }),
  REDIS_URL: text({ default: undefined }),
  REDIS_TLS_CA: text({ default: undefined }),
  REDIS_TLS_CERT: text({ default: undefined }),
  REDIS_TLS_KEY: text({ default: undefined }),
  REDIS_PREFIX: matching(/^[A-Za-z0-9_.-]{1,64}$/, '1 to 64 characters of A-Z a-z 0-9 _ . -')({ default: 'fasttask' }),
  UVICORN_WORKERS: whole(1, 256)({ default: undefined }),
  API_HOST: host({ default: '127.0.0.1' }),
  API_PORT: port({ default: 9001 }),
  API_ALLOW_ANONYMOUS: flag({ default: false }),
  API_TLS: flag({ default: true }),
  TRUST_PROXY: flag({ default: false }),
  API_CORS_ORIGINS: origins({ default: undefined }),
  API_DOCS: flag({ default: true }),
  API_REDOC: flag({ default: true }),
  API_STATUS_INFO: flag({ default: true }),
  API_RUN: flag({ default: true }),
  API_CREATE: flag({ default: true }),
  API_CHECK: flag({ default: true }),
  API_REVOKE: flag({ default: true }),
  API_FILE_DOWNLOAD: flag({ default: true }),
  API_FILE_UPLOAD: flag({ default: true }),
  API_RATE_LIMIT: whole(0)({ default: 0 }),
  API_MAX_CONNECTIONS_PER_ADDRESS: whole(1)({ default: 1000 }),
  BODY_MAX_BYTES: bytes({ default: 10 * 1024 ** 2 }),
  JSON_MAX_DEPTH: whole(1, 1000)({ default: 64 }),
  UPLOAD_MAX_BYTES: bytes({ default: 5 * 1024 ** 3 }),
  RUN_MAX_WAIT: seconds()({ default: undefined }),
  REGISTRY_EXPIRES: seconds()({ default: 86_400 }),
  FILE_CLEANUP_ENABLED: flag({ default: true }),
  FILE_EXPIRATION_SECONDS: whole(60)({ default: undefined }),
  FILES_SHARED: flag({ default: false }),
  MASTER_API_URL: matching(/^https?:\/\/[^\s/]+\/?$/, 'an address such as https://master:9001')({ default: undefined }),
  LOG_LEVEL: oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal')({ default: 'info' }),
  DEBUG: flag({ default: false }),
};

export type VariableName = keyof typeof rules;

/** The variables, parsed and with the defaults that depend on nothing else. */
export type CleanedVariables = ReturnType<typeof cleanEnv<typeof rules>>;

/** What the documentation says of each variable, in its order (a test compares deploy/README.md with it). */
export const variables = {
  NODE_TYPE: on(
    'all',
    'none: required (`npm start` sets single_node)',
    'What this node runs: single_node, distributed_master or distributed_worker.',
  ),
  RUNNING_ID: on('all', 'made once, kept in Redis', 'Start of every job id, and in every log line. A worker’s own is ignored for ids.'),
  SOFT_TIME_LIMIT: on('all', '1800', 'Seconds after which a task is asked to stop (SoftTimeLimitExceeded).'),
  TIME_LIMIT: on('all', 'SOFT_TIME_LIMIT + 60', 'Seconds after which a task is terminated. Above SOFT_TIME_LIMIT.'),
  VISIBILITY_TIMEOUT: on(
    'all',
    'TIME_LIMIT + 60',
    'Accepted and checked (above TIME_LIMIT); jobs of a lost consumer are queued again within 15 s whatever it says.',
  ),
  FASTTASK_DIR: on('all', 'the project’s folder', 'Where FastTask lies.'),
  FILES_DIR: on('all', 'FASTTASK_DIR/files', 'Everything that FastTask writes lies under it.'),
  TASKS_DIR: on('consumer', 'FASTTASK_DIR/tasks', 'The folder of task files.'),
  FASTTASK_FILES_DIR: on('all', 'FILES_DIR/fasttask', 'The system folder; never served.', { derived: true }),
  LOG_DIR: on('all', 'FILES_DIR/fasttask/log', 'Logs.', { derived: true }),
  CONF_DIR: on('all', 'FILES_DIR/fasttask/conf', 'Accounts and secrets.', { derived: true }),
  SSL_CERT_DIR: on('all', 'FILES_DIR/fasttask/ssl_cert', 'The certificate made at the first start.', { derived: true }),
  CELERY_DIR: on('all', 'FILES_DIR/fasttask/celery', 'The consumers’ runtime folder: PM2_HOME, compiled tasks.', { derived: true }),
  LOADED_TASKS: on('all', 'the loaded tasks', 'Shown at start and in /status_info.', { derived: true }),
  SSL_KEYFILE: on('api', 'SSL_CERT_DIR/key.pem', 'A private key of one’s own; must exist when set.'),
  SSL_CERTFILE: on('api', 'SSL_CERT_DIR/cert.pem', 'A certificate of one’s own; must exist when set.'),
  PM2_HOME: on('all', 'CELERY_DIR/pm2', 'PM2’s folder, for `npm start` and the commands beside it.'),
  WORKER_POOL: on('all', 'prefork', 'prefork (alias threads): one job per thread. gevent (alias async): many waiting jobs per thread.'),
  WORKER_CONCURRENCY: on('all', 'number of cores', 'Jobs that run at once on this node.'),
  WORKER_MAX_TASKS_PER_CHILD: on('consumer', '100, of a thread that is 10 s old', 'Jobs after which a thread is replaced.'),
  CONSUMER_PROCESSES: on('consumer', '1', 'Processes over which this node’s slots are spread.'),
  WORKER_TAG: on('consumer', 'worker', 'First part of the consumer’s name, before @host.'),
  ENABLED_TASKS: on('consumer', 'all', 'Only these tasks run here, separated by commas. Wins over DISABLED_TASKS.'),
  DISABLED_TASKS: on('consumer', 'none', 'These tasks do not run here, separated by commas.'),
  RESULT_EXPIRES: on('consumer', '86400', 'Seconds for which a result can be read; stamped by the node that finished the job.'),
  RESULT_MAX_BYTES: on('consumer', '10485760', 'Largest result, in bytes of JSON.'),
  DRAIN_TIMEOUT: on('consumer', '30', 'Seconds for which a stopping consumer waits for running jobs before it hands them back.'),
  MASTER_HOST: on(
    'redis',
    '127.0.0.1 (single_node), 0.0.0.0 (distributed_master), required (distributed_worker)',
    'Where Redis listens; on a worker where it is reached.',
  ),
  TASK_QUEUE_PORT: on('redis', '6379; required on a distributed_worker', 'Redis’ port.'),
  TASK_QUEUE_PASSWD: on('redis', 'passwd on loopback only; otherwise required', 'Redis’ password.', { secret: true }),
  REDIS_URL: on(
    'all',
    'none: the embedded Redis',
    'An external Redis, see “Redis of your own”; MASTER_HOST, TASK_QUEUE_PORT and TASK_QUEUE_PASSWD are then not read.',
    { secret: true },
  ),
  REDIS_TLS_CA: on('all', 'the system’s', 'File of the certificates that sign Redis’ own, for a rediss:// address.'),
  REDIS_TLS_CERT: on('all', 'none', 'File of the client certificate for Redis; together with REDIS_TLS_KEY.'),
  REDIS_TLS_KEY: on('all', 'none', 'File of the key of REDIS_TLS_CERT.'),
  REDIS_PREFIX: on('all', 'fasttask', 'First part of every key, to keep two installations on one Redis apart.'),
  UVICORN_WORKERS: on('api', 'number of cores', 'API processes.', { alias: 'API_PROCESSES' }),
  API_HOST: on('api', '127.0.0.1', 'Where the API listens.'),
  API_PORT: on('api', '9001', 'The API’s port.'),
  API_ALLOW_ANONYMOUS: on('api', 'False', 'Serve without accounts beyond loopback.'),
  API_TLS: on('api', 'True', 'HTTPS. False: plain HTTP, for a proxy in front.'),
  TRUST_PROXY: on('api', 'False', 'Take the client’s address from X-Forwarded-For.'),
  API_CORS_ORIGINS: on('api', 'none', 'Origins whose pages may call the API, separated by commas.'),
  API_DOCS: on('api', 'True', 'Serve /docs.'),
  API_REDOC: on('api', 'True', 'Serve /redoc.'),
  API_STATUS_INFO: on('api', 'True', 'Serve /status_info and /workers.'),
  API_RUN: on('api', 'True', 'Serve /run/{task}.'),
  API_CREATE: on('api', 'True', 'Serve /create/{task}.'),
  API_CHECK: on('api', 'True', 'Serve /check.'),
  API_REVOKE: on('api', 'True', 'Serve /revoke.'),
  API_FILE_DOWNLOAD: on('api', 'True', 'Serve /download.'),
  API_FILE_UPLOAD: on('api', 'True', 'Serve /upload.'),
  API_RATE_LIMIT: on(
    'api',
    '0 (off)',
    'Requests per minute of one account or key, or of one address without accounts; counted for all API processes together.',
  ),
  API_MAX_CONNECTIONS_PER_ADDRESS: on(
    'api',
    '1000',
    'Open connections of one address to one API process; loopback is not limited, and nobody behind TRUST_PROXY.',
  ),
  BODY_MAX_BYTES: on('api', '10485760', 'Largest JSON body, in bytes.'),
  JSON_MAX_DEPTH: on('api', '64', 'Deepest nesting of a JSON body.'),
  UPLOAD_MAX_BYTES: on('api', '5368709120', 'Largest uploaded file, in bytes.'),
  RUN_MAX_WAIT: on('api', 'TIME_LIMIT + 60', 'Seconds for which /run waits before it answers 202.'),
  REGISTRY_EXPIRES: on('api', '86400', 'Seconds for which a task without a consumer and without jobs stays known.'),
  FILE_CLEANUP_ENABLED: on('all', 'True', 'Remove expired files.'),
  FILE_EXPIRATION_SECONDS: on(
    'all',
    'the larger of 60 and 10 × SOFT_TIME_LIMIT',
    'Seconds after which an unused file is removed; at least 60.',
  ),
  FILES_SHARED: on('all', 'False', 'FILES_DIR is one volume shared by all nodes.'),
  MASTER_API_URL: on('consumer', 'https://MASTER_HOST:9001; with REDIS_URL none', 'Where a worker fetches and delivers files.'),
  LOG_LEVEL: on('all', 'info', 'trace, debug, info, warn, error or fatal.'),
  DEBUG: on('all', 'False', 'True: LOG_LEVEL is debug.'),
} as const satisfies Record<VariableName, Description>;

/** Every variable, in the order of the documentation. */
export const variableNames: readonly VariableName[] = Object.keys(variables).filter(isVariableName);

/** The variables whose values are never printed and never reach a task's environment. */
export const secretVariables: readonly VariableName[] = variableNames.filter((name) => describe(name).secret === true);

export function describe(name: VariableName): Description {
  return variables[name];
}

export function isVariableName(name: string): name is VariableName {
  return Object.hasOwn(rules, name);
}
