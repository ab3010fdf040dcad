/** Configuration: the only reader of process.env. Read once, checked whole, frozen, handed down. */
import { isIPv6 } from 'node:net';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { cleanEnv } from 'envalid';
import { certificateOf, foldersOf, isCreatable, isFolder, isReadableFile } from './config-folders.ts';
import { noticesOf } from './config-notices.ts';
import { checkRedis, redisSettings } from './config-redis.ts';
import { type Environment, gather, type Source } from './config-source.ts';
import { isVariableName, rules, type VariableName } from './config-variables.ts';
import { ConfigError } from './errors.ts';

export { projectDir } from './config-folders.ts';
export { isLoopback } from './config-redis.ts';
export { type Environment, SECRETS_FILE_VARIABLE } from './config-source.ts';
export type Config = ReturnType<typeof loadConfig>;

/**
 * Reads and checks the configuration.
 * @param environment environment variables; those left empty count as not set, those of another NODE_TYPE are not looked at
 * @throws ConfigError with every fault at once
 */
export function loadConfig(environment: Environment = process.env) {
  const source = gather(environment);
  const { read, faults, fault } = source;
  const { env, failed } = clean(source);
  const nodeType = source.nodeType ?? 'single_node';
  const runs = { api: nodeType !== 'distributed_worker', consumer: nodeType !== 'distributed_master' };
  const cores = availableParallelism();
  const concurrency = env.WORKER_CONCURRENCY ?? cores;

  const hardSeconds = env.TIME_LIMIT ?? env.SOFT_TIME_LIMIT + 60;
  const visibilitySeconds = env.VISIBILITY_TIMEOUT ?? hardSeconds + 60;
  const limitsParsed = !failed.has('SOFT_TIME_LIMIT') && !failed.has('TIME_LIMIT');
  if (limitsParsed && hardSeconds <= env.SOFT_TIME_LIMIT) fault('TIME_LIMIT', `more than SOFT_TIME_LIMIT (${env.SOFT_TIME_LIMIT})`);
  if (limitsParsed && !failed.has('VISIBILITY_TIMEOUT') && visibilitySeconds <= hardSeconds) {
    fault('VISIBILITY_TIMEOUT', `more than TIME_LIMIT (${hardSeconds})`);
  }

  const dirs = foldersOf(env);
  if (env.FASTTASK_DIR !== undefined && !isFolder(dirs.root)) fault('FASTTASK_DIR', 'a folder that exists');
  if (env.TASKS_DIR !== undefined && !isFolder(dirs.tasks)) fault('TASKS_DIR', 'a folder that exists');
  if (!isCreatable(dirs.files)) faults.push({ variable: 'FILES_DIR', value: dirs.files, expected: 'a folder that can be written or made' });

  const certificate = certificateOf(env, dirs);
  if (runs.api && certificate.ownCertificate) {
    for (const [name, file] of [
      ['SSL_KEYFILE', certificate.keyFile],
      ['SSL_CERTFILE', certificate.certFile],
    ] as const) {
      if (env[name] === undefined || !isReadableFile(file)) fault(name, 'a readable file, with SSL_KEYFILE and SSL_CERTFILE set together');
    }
  }

  const redis = redisSettings(env, nodeType, dirs.root);
  if (source.nodeType !== undefined) checkRedis(redis, { nodeType, read, failed, fault });
  if (faults.length > 0) throw new ConfigError(faults);
  return deepFreeze({
    nodeType,
    runs,
    /** This process' place among its app's processes, from 0: PM2 numbers them. */
    instance: Number(environment['NODE_APP_INSTANCE'] ?? 0),
    supervised: environment['NODE_APP_INSTANCE'] !== undefined,
    runningId: env.RUNNING_ID,
    logLevel: env.DEBUG ? 'debug' : env.LOG_LEVEL,
    limits: { softSeconds: env.SOFT_TIME_LIMIT, hardSeconds, visibilitySeconds },
    dirs,
    pm2Home: resolve(env.PM2_HOME ?? join(dirs.runtime, 'pm2')),
    tls: { enabled: env.API_TLS, ...certificate },
    redis,
    registryExpiresSeconds: env.REGISTRY_EXPIRES,
    api: {
      host: env.API_HOST,
      port: env.API_PORT,
      processes: env.UVICORN_WORKERS ?? cores,
      allowAnonymous: env.API_ALLOW_ANONYMOUS,
      trustProxy: env.TRUST_PROXY,
      corsOrigins: env.API_CORS_ORIGINS ?? [],
      serves: {
        docs: env.API_DOCS,
        redoc: env.API_REDOC,
        statusInfo: env.API_STATUS_INFO,
        run: env.API_RUN,
        create: env.API_CREATE,
        check: env.API_CHECK,
        revoke: env.API_REVOKE,
        download: env.API_FILE_DOWNLOAD,
        upload: env.API_FILE_UPLOAD,
      },
      bodyMaxBytes: env.BODY_MAX_BYTES,
      jsonMaxDepth: env.JSON_MAX_DEPTH,
      uploadMaxBytes: env.UPLOAD_MAX_BYTES,
      runMaxWaitSeconds: env.RUN_MAX_WAIT ?? hardSeconds + 60,
      rateLimit: env.API_RATE_LIMIT,
      maxConnectionsPerAddress: env.API_MAX_CONNECTIONS_PER_ADDRESS,
    },
    consumer: {
      pool: env.WORKER_POOL === 'gevent' || env.WORKER_POOL === 'async' ? ('async' as const) : ('threads' as const),
      concurrency,
      /** A process without a slot would have nothing to do. */
      processes: Math.min(env.CONSUMER_PROCESSES, concurrency),
      maxJobsPerThread: env.WORKER_MAX_TASKS_PER_CHILD ?? 100,
      /** Milliseconds for which a thread lives at least; a number of jobs that was asked for is taken at its word. */
      minThreadMs: env.WORKER_MAX_TASKS_PER_CHILD === undefined ? 10_000 : 0,
      tag: env.WORKER_TAG ?? 'worker',
      enabledTasks: env.ENABLED_TASKS,
      disabledTasks: env.DISABLED_TASKS,
      resultExpiresSeconds: env.RESULT_EXPIRES,
      resultMaxBytes: env.RESULT_MAX_BYTES,
      drainSeconds: env.DRAIN_TIMEOUT,
      /** Undefined with a Redis of one's own: nothing tells then where the API is. */
      masterApiUrl:
        env.MASTER_API_URL ?? (redis.url === undefined ? `https://${isIPv6(redis.host) ? `[${redis.host}]` : redis.host}:9001` : undefined),
    },
    files: {
      cleanup: env.FILE_CLEANUP_ENABLED,
      expirationSeconds: env.FILE_EXPIRATION_SECONDS ?? Math.max(60, 10 * env.SOFT_TIME_LIMIT),
      shared: env.FILES_SHARED,
    },
    notices: noticesOf(source, nodeType, dirs, redis, { processes: env.CONSUMER_PROCESSES, concurrency }),
  });
}

/** Reports what breaks its own rule. That counts as not set from here on, so that everything else can still be checked. */
function clean({ read, fault }: Source) {
  const failed = new Set<VariableName>();
  const valid = { ...read };
  cleanEnv(read, rules, {
    reporter: ({ errors }) => {
      for (const [name, error] of Object.entries(errors)) {
        if (error === undefined || !isVariableName(name)) continue;
        fault(name, read[name] === undefined ? 'single_node, distributed_master or distributed_worker' : error.message);
        failed.add(name);
        delete valid[name];
      }
    },
  });
  return { env: cleanEnv(valid, rules, { reporter: () => undefined }), failed };
}

function deepFreeze<T extends object>(value: T): Readonly<T> {
  for (const inner of Object.values(value)) if (typeof inner === 'object' && inner !== null) deepFreeze(inner);
  return Object.freeze(value);
}
