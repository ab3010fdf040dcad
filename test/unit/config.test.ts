import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type Environment, loadConfig, projectDir } from '../../shared/config.ts';
import { ConfigError } from '../../shared/errors.ts';

const temp = mkdtempSync(join(tmpdir(), 'ft-config-'));
afterAll(() => rmSync(temp, { recursive: true, force: true }));

const single = (env: Environment = {}) => loadConfig({ NODE_TYPE: 'single_node', ...env });
const master = (env: Environment = {}) =>
  loadConfig({ NODE_TYPE: 'distributed_master', TASK_QUEUE_PASSWD: 'long enough for a network', ...env });
const worker = (env: Environment = {}) =>
  loadConfig({
    NODE_TYPE: 'distributed_worker',
    MASTER_HOST: '10.65.8.8',
    TASK_QUEUE_PORT: '9000',
    TASK_QUEUE_PASSWD: 'long enough for a network',
    ...env,
  });

/** The faults as lines `VARIABLE=value: expected`. */
function faultsOf(env: Environment): string[] {
  try {
    loadConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.faults.map(({ variable, value, expected }) => `${variable}=${value}: ${expected}`);
    throw error;
  }
  return [];
}
const singleFaults = (env: Environment) => faultsOf({ NODE_TYPE: 'single_node', ...env });
const variablesOf = (faults: readonly string[]) => faults.map((fault) => fault.replace(/=.*$/s, '')).sort();

function file(name: string, content: string): string {
  const path = join(temp, name);
  writeFileSync(path, content);
  return path;
}

describe('defaults', () => {
  test('a single node needs nothing but its type', () => {
    const config = single();
    const cores = availableParallelism();
    expect(config).toMatchObject({
      nodeType: 'single_node',
      runs: { api: true, consumer: true },
      logLevel: 'info',
      limits: { softSeconds: 1800, hardSeconds: 1860, visibilitySeconds: 1920 },
      redis: { embedded: true, listenHost: '127.0.0.1', host: '127.0.0.1', port: 6379, password: 'passwd', prefix: 'fasttask' },
      registryExpiresSeconds: 86_400,
      tls: { enabled: true, ownCertificate: false },
      api: {
        host: '127.0.0.1',
        port: 9001,
        processes: cores,
        allowAnonymous: false,
        trustProxy: false,
        corsOrigins: [],
        bodyMaxBytes: 10_485_760,
        jsonMaxDepth: 64,
        uploadMaxBytes: 5_368_709_120,
        runMaxWaitSeconds: 1920,
        rateLimit: 0,
        maxConnectionsPerAddress: 1000,
      },
      consumer: {
        pool: 'threads',
        concurrency: cores,
        processes: 1,
        maxJobsPerThread: 100,
        minThreadMs: 10_000,
        tag: 'worker',
        resultExpiresSeconds: 86_400,
        resultMaxBytes: 10_485_760,
        drainSeconds: 30,
      },
      files: { cleanup: true, expirationSeconds: 18_000, shared: false },
      notices: [],
    });
    expect(config.runningId).toBeUndefined();
    expect(Object.values(config.api.serves)).toEqual(Array(9).fill(true));
    expect([config.consumer.enabledTasks, config.consumer.disabledTasks]).toEqual([undefined, undefined]);
  });

  test('every folder follows from the project’s own', () => {
    const { dirs, pm2Home, tls } = single();
    const system = join(projectDir, 'files', 'fasttask');
    expect(dirs).toEqual({
      root: projectDir,
      tasks: join(projectDir, 'tasks'),
      files: join(projectDir, 'files'),
      system,
      log: join(system, 'log'),
      conf: join(system, 'conf'),
      ssl: join(system, 'ssl_cert'),
      runtime: join(system, 'celery'),
    });
    expect([pm2Home, tls.keyFile, tls.certFile]).toEqual([
      join(system, 'celery', 'pm2'),
      join(system, 'ssl_cert', 'key.pem'),
      join(system, 'ssl_cert', 'cert.pem'),
    ]);
  });

  test('FILES_DIR and FASTTASK_DIR move them', () => {
    mkdirSync(join(temp, 'root'), { recursive: true });
    const root = join(temp, 'root');
    expect(single({ FASTTASK_DIR: root }).dirs).toMatchObject({ root, files: join(root, 'files'), tasks: join(root, 'tasks') });
    expect(single({ FILES_DIR: join(temp, 'f') }).dirs).toMatchObject({ root: projectDir, conf: join(temp, 'f', 'fasttask', 'conf') });
    expect(single({ FASTTASK_DIR: root, FILES_DIR: 'sub' }).dirs.files).toBe(join(root, 'sub'));
    expect(single({ PM2_HOME: join(temp, 'pm2') }).pm2Home).toBe(join(temp, 'pm2'));
  });

  test('a limit that is not set follows from the one below it', () => {
    expect(single({ SOFT_TIME_LIMIT: '2' }).limits).toEqual({ softSeconds: 2, hardSeconds: 62, visibilitySeconds: 122 });
    expect(single({ SOFT_TIME_LIMIT: '2', TIME_LIMIT: '3' }).limits).toEqual({ softSeconds: 2, hardSeconds: 3, visibilitySeconds: 63 });
    expect(single({ SOFT_TIME_LIMIT: '2', TIME_LIMIT: '3' }).api.runMaxWaitSeconds).toBe(63);
    expect(single({ SOFT_TIME_LIMIT: '0.5', TIME_LIMIT: '1.5' }).limits.hardSeconds).toBe(1.5);
    expect(single({ RUN_MAX_WAIT: '7' }).api.runMaxWaitSeconds).toBe(7);
    expect(single({ SOFT_TIME_LIMIT: '2' }).files.expirationSeconds).toBe(60);
    expect(single({ SOFT_TIME_LIMIT: '100' }).files.expirationSeconds).toBe(1000);
  });

  test('a master listens everywhere and reaches its own Redis over loopback', () => {
    expect(master()).toMatchObject({
      runs: { api: true, consumer: false },
      redis: { embedded: true, listenHost: '0.0.0.0', host: '127.0.0.1', port: 6379 },
    });
    expect(master({ MASTER_HOST: '10.1.2.3' }).redis).toMatchObject({ listenHost: '10.1.2.3', host: '127.0.0.1' });
  });

  test('a worker connects to the master and fetches files from it', () => {
    const config = worker();
    expect(config).toMatchObject({ runs: { api: false, consumer: true }, redis: { embedded: false, host: '10.65.8.8', port: 9000 } });
    expect(config.consumer.masterApiUrl).toBe('https://10.65.8.8:9001');
    expect(worker({ MASTER_HOST: '[fd00::8]' }).consumer.masterApiUrl).toBe('https://[fd00::8]:9001');
    expect(worker({ MASTER_API_URL: 'http://files:80' }).consumer.masterApiUrl).toBe('http://files:80');
    expect(worker({ REDIS_URL: 'redis://10.0.0.1:6379' }).consumer.masterApiUrl).toBeUndefined();
  });
});

describe('values', () => {
  test.each([
    ['True', true],
    ['true', true],
    ['1', true],
    ['yes', true],
    ['ON', true],
    ['False', false],
    ['false', false],
    ['0', false],
    ['No', false],
    ['off', false],
  ])('a switch written %s is %s', (written, meant) => {
    expect(single({ API_DOCS: written }).api.serves.docs).toBe(meant);
  });

  test.each([
    ['API_DOCS', 'docs'],
    ['API_REDOC', 'redoc'],
    ['API_STATUS_INFO', 'statusInfo'],
    ['API_RUN', 'run'],
    ['API_CREATE', 'create'],
    ['API_CHECK', 'check'],
    ['API_REVOKE', 'revoke'],
    ['API_FILE_DOWNLOAD', 'download'],
    ['API_FILE_UPLOAD', 'upload'],
  ] as const)('%s=False turns off only %s', (variable, route) => {
    const { serves } = single({ [variable]: 'False' }).api;
    expect(Object.entries(serves).filter(([, served]) => !served)).toEqual([[route, false]]);
  });

  test.each([
    ['prefork', 'threads'],
    ['threads', 'threads'],
    ['gevent', 'async'],
    ['async', 'async'],
  ])('WORKER_POOL %s means the pool %s', (written, pool) => {
    expect(single({ WORKER_POOL: written }).consumer.pool).toBe(pool);
  });

  test('lists are split at commas, and blanks around names do not matter', () => {
    expect(single({ ENABLED_TASKS: ' a, b_2 ,', DISABLED_TASKS: 'c' }).consumer).toMatchObject({
      enabledTasks: ['a', 'b_2'],
      disabledTasks: ['c'],
    });
    expect(single({ API_CORS_ORIGINS: 'https://a.example, http://b:8080' }).api.corsOrigins).toEqual([
      'https://a.example',
      'http://b:8080',
    ]);
  });

  test('DEBUG lowers the log level', () => {
    expect(single({ DEBUG: 'True', LOG_LEVEL: 'warn' }).logLevel).toBe('debug');
  });

  test('empty and blank count as not set', () => {
    expect(single({ API_PORT: '', SOFT_TIME_LIMIT: '  ', TASK_QUEUE_PASSWD: '', FILES_DIR: '' })).toMatchObject({
      api: { port: 9001 },
      limits: { softSeconds: 1800 },
      redis: { password: 'passwd' },
      dirs: { files: join(projectDir, 'files') },
    });
    expect(variablesOf(faultsOf({ NODE_TYPE: ' ' }))).toEqual(['NODE_TYPE']);
  });

  test('an alias stands for its variable, which wins when both are set', () => {
    expect(single({ API_PROCESSES: '3' }).api.processes).toBe(3);
    expect(single({ API_PROCESSES: '3', UVICORN_WORKERS: '4' }).api.processes).toBe(4);
    expect(singleFaults({ API_PROCESSES: 'many' })).toEqual(['API_PROCESSES=many: a whole number from 1 to 256']);
  });

  test('more consumer processes than slots are not started', () => {
    const config = single({ WORKER_CONCURRENCY: '2', CONSUMER_PROCESSES: '4' });
    expect(config.consumer.processes).toBe(2);
    expect(config.notices).toEqual(['CONSUMER_PROCESSES (4) is more than WORKER_CONCURRENCY (2), 2 used']);
  });

  test('nothing of it can be changed', () => {
    const config = single();
    expect([config, config.api, config.api.serves, config.notices, config.dirs].every(Object.isFrozen)).toBe(true);
  });
});

describe('faults', () => {
  test.each([
    ['NODE_TYPE', 'master', 'one of single_node, distributed_master, distributed_worker'],
    ['RUNNING_ID', 'a b', '1 to 64 characters of A-Z a-z 0-9 _ -'],
    ['SOFT_TIME_LIMIT', '0', 'seconds, a number above 0 and up to 31622400'],
    ['SOFT_TIME_LIMIT', '-1', 'seconds, a number above 0 and up to 31622400'],
    ['TIME_LIMIT', 'soon', 'seconds, a number above 0 and up to 31622400'],
    ['VISIBILITY_TIMEOUT', '1e3', 'seconds, a number above 0 and up to 31622400'],
    ['WORKER_POOL', 'fork', 'one of prefork, gevent, threads, async'],
    ['WORKER_CONCURRENCY', '0', 'a whole number from 1 to 10000'],
    ['WORKER_CONCURRENCY', '1.5', 'a whole number from 1 to 10000'],
    ['UVICORN_WORKERS', '257', 'a whole number from 1 to 256'],
    ['API_PORT', '65536', 'a whole number from 1 to 65535'],
    ['TASK_QUEUE_PORT', '0', 'a whole number from 1 to 65535'],
    ['API_DOCS', 'maybe', 'True or False'],
    ['MASTER_HOST', 'not a host', 'a host name or an IP address'],
    ['API_HOST', '1.2.3', 'a host name or an IP address'],
    ['ENABLED_TASKS', 'good,bad-name', 'task names separated by commas'],
    ['ENABLED_TASKS', ',', 'task names separated by commas'],
    ['API_CORS_ORIGINS', 'example.org', 'origins such as https://app.example.org, separated by commas'],
    ['FILE_EXPIRATION_SECONDS', '59', 'a whole number from 60'],
    ['LOG_LEVEL', 'loud', 'one of trace, debug, info, warn, error, fatal'],
    ['WORKER_TAG', 'a/b', '1 to 64 characters of A-Z a-z 0-9 _ . -'],
    ['REDIS_PREFIX', '{x}', '1 to 64 characters of A-Z a-z 0-9 _ . -'],
    ['MASTER_API_URL', 'master:9001', 'an address such as https://master:9001'],
    ['BODY_MAX_BYTES', '10MB', 'a whole number from 1'],
    ['RESULT_EXPIRES', '0', 'seconds, a number above 0 and up to 31622400'],
  ])('%s=%s is refused with what was expected', (variable, value, expected) => {
    expect(singleFaults({ [variable]: value })).toEqual([`${variable}=${value}: ${expected}`]);
  });

  test('NODE_TYPE has no default', () => {
    expect(faultsOf({})).toEqual(['NODE_TYPE=undefined: single_node, distributed_master or distributed_worker']);
  });

  test('all of them are told at once, in one message', () => {
    const env = {
      NODE_TYPE: 'single_node',
      SOFT_TIME_LIMIT: '10',
      TIME_LIMIT: '10',
      API_PORT: 'x',
      API_RUN: '2',
      TASKS_DIR: join(temp, 'none'),
      SSL_KEYFILE: '/none.pem',
    };
    expect(variablesOf(faultsOf(env))).toEqual(['API_PORT', 'API_RUN', 'SSL_CERTFILE', 'SSL_KEYFILE', 'TASKS_DIR', 'TIME_LIMIT']);
    expect(() => loadConfig(env)).toThrow(/^The configuration has 6 fault\(s\):\n( {2}\S.*: expected .+\n?){6}$/);
  });

  test('a wrong NODE_TYPE does not hide the other faults, and makes none that its type would not have', () => {
    expect(variablesOf(faultsOf({ NODE_TYPE: 'worker', API_PORT: 'x', RESULT_EXPIRES: 'x' }))).toEqual([
      'API_PORT',
      'NODE_TYPE',
      'RESULT_EXPIRES',
    ]);
    expect(variablesOf(faultsOf({ MASTER_HOST: '10.65.8.8' }))).toEqual(['NODE_TYPE']);
  });

  test.each([
    [{ SOFT_TIME_LIMIT: '10', TIME_LIMIT: '10' }, 'TIME_LIMIT=10: more than SOFT_TIME_LIMIT (10)'],
    [{ TIME_LIMIT: '1800' }, 'TIME_LIMIT=1800: more than SOFT_TIME_LIMIT (1800)'],
    [{ VISIBILITY_TIMEOUT: '1860' }, 'VISIBILITY_TIMEOUT=1860: more than TIME_LIMIT (1860)'],
    [{ SOFT_TIME_LIMIT: '1', TIME_LIMIT: '3', VISIBILITY_TIMEOUT: '2' }, 'VISIBILITY_TIMEOUT=2: more than TIME_LIMIT (3)'],
  ])('limits must grow: %o', (env, fault) => {
    expect(singleFaults(env)).toEqual([fault]);
  });

  test('a limit that could not be read is not compared', () => {
    expect(variablesOf(singleFaults({ SOFT_TIME_LIMIT: 'x', TIME_LIMIT: '1', VISIBILITY_TIMEOUT: '1' }))).toEqual(['SOFT_TIME_LIMIT']);
  });

  test('a worker needs the address, the port and the password of its master, or REDIS_URL', () => {
    expect(variablesOf(faultsOf({ NODE_TYPE: 'distributed_worker' }))).toEqual(['MASTER_HOST', 'TASK_QUEUE_PASSWD', 'TASK_QUEUE_PORT']);
    expect(faultsOf({ NODE_TYPE: 'distributed_worker', MASTER_HOST: 'm', TASK_QUEUE_PORT: 'x', TASK_QUEUE_PASSWD: 'p' })).toEqual([
      'TASK_QUEUE_PORT=x: a whole number from 1 to 65535',
    ]);
    expect(faultsOf({ NODE_TYPE: 'distributed_worker', REDIS_URL: 'redis://r' })).toEqual([]);
    expect(variablesOf(faultsOf({ NODE_TYPE: 'distributed_worker', REDIS_URL: 'http://r' }))).toEqual(['REDIS_URL']);
  });

  test.each([
    ['distributed_master', {}],
    ['distributed_master', { TASK_QUEUE_PASSWD: 'passwd' }],
    ['single_node', { MASTER_HOST: '0.0.0.0' }],
    ['single_node', { MASTER_HOST: '192.168.1.2', TASK_QUEUE_PASSWD: 'passwd' }],
  ])('beyond loopback (%s %o) Redis needs a password of its own', (nodeType, env) => {
    expect(variablesOf(faultsOf({ NODE_TYPE: nodeType, ...env }))).toEqual(['TASK_QUEUE_PASSWD']);
  });

  test.each(['127.0.0.1', '127.9.9.9', 'localhost', '::1', '[::1]'])('on loopback (%s) the known password will do', (host) => {
    expect(single({ MASTER_HOST: host }).redis.password).toBe('passwd');
    expect(faultsOf({ NODE_TYPE: 'distributed_master', MASTER_HOST: host })).toEqual([]);
  });

  test('folders and files that are set must be there', () => {
    const plain = file('plain', '');
    expect(variablesOf(singleFaults({ FASTTASK_DIR: join(temp, 'none') }))).toEqual(['FASTTASK_DIR']);
    expect(variablesOf(singleFaults({ TASKS_DIR: plain }))).toEqual(['TASKS_DIR']);
    expect(variablesOf(singleFaults({ FILES_DIR: join(plain, 'below') }))).toEqual(['FILES_DIR']);
    expect(singleFaults({ FILES_DIR: plain })).toEqual([`FILES_DIR=${plain}: a folder that can be written or made`]);
  });

  test.skipIf(process.getuid?.() === 0)('FILES_DIR must be writable', () => {
    mkdirSync(join(temp, 'closed'), { mode: 0o500 });
    expect(variablesOf(singleFaults({ FILES_DIR: join(temp, 'closed', 'files') }))).toEqual(['FILES_DIR']);
  });

  test('a certificate of one’s own is a pair of files that can be read', () => {
    const [key, cert] = [file('key.pem', 'k'), file('cert.pem', 'c')];
    expect(single({ SSL_KEYFILE: key, SSL_CERTFILE: cert }).tls).toEqual({
      enabled: true,
      keyFile: key,
      certFile: cert,
      ownCertificate: true,
    });
    expect(variablesOf(singleFaults({ SSL_KEYFILE: key }))).toEqual(['SSL_CERTFILE']);
    expect(variablesOf(singleFaults({ SSL_CERTFILE: cert }))).toEqual(['SSL_KEYFILE']);
    expect(variablesOf(singleFaults({ SSL_KEYFILE: temp, SSL_CERTFILE: cert }))).toEqual(['SSL_KEYFILE']);
  });

  test('the paths of the generated certificate may be spelled out', () => {
    const { tls } = single();
    expect(single({ SSL_KEYFILE: tls.keyFile, SSL_CERTFILE: tls.certFile }).tls.ownCertificate).toBe(false);
  });

  test('control characters do not reach the message', () => {
    expect(singleFaults({ API_PORT: '1\n2\u001b[31m' })).toEqual(['API_PORT=1?2?[31m: a whole number from 1 to 65535']);
  });
});

describe('secrets', () => {
  test('are not shown, in no fault and no fact', () => {
    const secret = 'http://user:s3cr3t@host';
    expect(singleFaults({ REDIS_URL: secret })[0]).toMatch(/^REDIS_URL=\(hidden\): a redis:\/\//);
    try {
      single({ REDIS_URL: secret, API_PORT: 'x' });
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(ConfigError);
      expect(JSON.stringify(error) + String(error)).not.toContain('s3cr3t');
    }
  });

  test('come from a file when the environment has none', () => {
    const secrets = file('secrets.json', JSON.stringify({ TASK_QUEUE_PASSWD: 'from the file', API_PORT: '1', other: 1 }));
    const config = single({ FASTTASK_SECRETS_FILE: secrets });
    expect([config.redis.password, config.api.port]).toEqual(['from the file', 9001]);
    expect(single({ FASTTASK_SECRETS_FILE: secrets, TASK_QUEUE_PASSWD: 'set' }).redis.password).toBe('set');
  });

  test.each([
    ['not there', undefined],
    ['not JSON', '{'],
    ['not an object', '"text"'],
    ['null', 'null'],
  ])('a file that is %s is a fault', (name, content) => {
    const path = content === undefined ? join(temp, 'missing') : file(name, content);
    expect(singleFaults({ FASTTASK_SECRETS_FILE: path })).toEqual([`FASTTASK_SECRETS_FILE=${path}: a readable JSON file of secrets`]);
  });
});

describe('notices', () => {
  test('what this type of node does not use is named once and not even checked', () => {
    expect(master({ ENABLED_TASKS: '!', RESULT_EXPIRES: 'x' }).notices).toEqual([
      'not used by a distributed_master, ignored: ENABLED_TASKS, RESULT_EXPIRES',
    ]);
    expect(worker({ API_PORT: 'x', UVICORN_WORKERS: '4', SSL_KEYFILE: '/none' }).notices).toEqual([
      'not used by a distributed_worker, ignored: SSL_KEYFILE, UVICORN_WORKERS, API_PORT',
    ]);
  });

  test('an external Redis makes the variables of the embedded one needless and unread', () => {
    const config = master({
      REDIS_URL: 'rediss://r:6380/0',
      MASTER_HOST: 'not a host',
      TASK_QUEUE_PORT: 'x',
      TASK_QUEUE_PASSWD: undefined,
    });
    expect(config.redis).toMatchObject({ url: 'rediss://r:6380/0', embedded: false });
    expect(config.notices).toEqual(['REDIS_URL is set, ignored: MASTER_HOST, TASK_QUEUE_PORT']);
  });

  test('a derived variable that says something else is ignored with one line', () => {
    const { dirs } = single();
    expect(single({ LOG_DIR: '/var/log/x' })).toMatchObject({
      dirs,
      notices: [`LOG_DIR follows from FILES_DIR (${dirs.log}), ignored: /var/log/x`],
    });
    expect(
      single({ LOG_DIR: `${dirs.log}/`, CONF_DIR: dirs.conf, CELERY_DIR: dirs.runtime, FASTTASK_FILES_DIR: dirs.system }).notices,
    ).toEqual([]);
    expect(single({ SSL_CERT_DIR: '/etc/ssl/certs' }).notices).toEqual([]);
    expect(single({ LOADED_TASKS: 'a,b' }).notices).toEqual(['LOADED_TASKS follows from the task files, ignored']);
  });

  test('a short password and a master that nobody can reach are worth a warning', () => {
    expect(master({ TASK_QUEUE_PASSWD: 'short' }).notices).toEqual([
      'TASK_QUEUE_PASSWD has fewer than 12 characters and Redis listens on 0.0.0.0',
    ]);
    expect(master({ MASTER_HOST: '127.0.0.1' }).notices).toEqual([
      'Redis listens on 127.0.0.1 (MASTER_HOST): workers on other machines cannot reach it',
    ]);
  });
});
