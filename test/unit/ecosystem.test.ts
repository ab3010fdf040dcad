import { afterAll, describe, expect, it } from 'vitest';
import { appsFor } from '../../services/supervisor/apps.ts';
import { type Environment, loadConfig } from '../../shared/config.ts';
import { removeTempDirs, tempDir } from '../support/temp.ts';

const dir = tempDir('eco');
afterAll(removeTempDirs);

const redis = { command: '/usr/bin/redis-server', env: {}, conf: `${dir}/files/fasttask/conf/redis.conf`, confDigest: '0123456789abcdef' };

function appsOf(variables: Environment) {
  const environment: Environment = { PATH: '/usr/bin', FASTTASK_DIR: dir, UVICORN_WORKERS: '2', ...variables };
  const config = loadConfig(environment);
  return appsFor(config, {
    environment,
    projectDir: '/srv/fasttask',
    node: '/usr/bin/node',
    cores: 4,
    redis: config.redis.embedded ? redis : undefined,
    secretsFile: `${dir}/files/fasttask/conf/secrets.json`,
  });
}

/** Without the folder's random name, and without the variables that are passed on as not set. */
function readable(apps: ReturnType<typeof appsOf>): unknown {
  const text = JSON.stringify(
    apps.map((app) => ({ ...app, env: Object.fromEntries(Object.entries(app.env).filter(([, value]) => value !== '')) })),
  );
  return JSON.parse(text.replaceAll(dir, '/var/fasttask'));
}

describe('the apps of a node', () => {
  it('are redis, api, consumer and janitor on a single_node', () => {
    expect(readable(appsOf({ NODE_TYPE: 'single_node' }))).toMatchSnapshot();
  });

  it('are redis, api and janitor on a distributed_master', () => {
    expect(readable(appsOf({ NODE_TYPE: 'distributed_master', TASK_QUEUE_PASSWD: 'a long password' }))).toMatchSnapshot();
  });

  it('are consumer and janitor on a distributed_worker', () => {
    const worker = {
      NODE_TYPE: 'distributed_worker',
      MASTER_HOST: '10.0.0.1',
      TASK_QUEUE_PORT: '6379',
      TASK_QUEUE_PASSWD: 'a long password',
    };
    expect(readable(appsOf(worker))).toMatchSnapshot();
  });

  it('have no redis when REDIS_URL names one', () => {
    expect(appsOf({ NODE_TYPE: 'single_node', REDIS_URL: 'redis://elsewhere' }).map(({ name }) => name)).toEqual([
      'api',
      'consumer',
      'janitor',
    ]);
  });

  it('never get a secret of ours', () => {
    const secrets = { TASK_QUEUE_PASSWD: 'hush-1', REDIS_URL: 'redis://:hush-2@elsewhere' };
    expect(JSON.stringify(appsOf({ NODE_TYPE: 'single_node', ...secrets }))).not.toContain('hush');
  });

  it("hand the caller's own variables to tasks and to nobody else, without those of npm and PM2", () => {
    const apps = appsOf({ NODE_TYPE: 'single_node', DATABASE_URL: 'postgres://db', npm_config_cache: '/npm', PM2_USAGE: 'CLI' });
    const having = (name: string) => apps.filter(({ env }) => name in env).map((app) => app.name);
    expect(having('DATABASE_URL')).toEqual(['consumer']);
    expect([...having('npm_config_cache'), ...having('PM2_USAGE')]).toEqual([]);
  });

  it('have a pool of memory for each core in a consumer, or as many as the caller says', () => {
    const pools = (variables: Environment) =>
      appsOf({ NODE_TYPE: 'single_node', ...variables }).flatMap(({ env }) => env['MALLOC_ARENA_MAX'] ?? []);
    expect(pools({})).toEqual(['4']);
    expect(pools({ MALLOC_ARENA_MAX: '8' })).toEqual(['8']);
  });

  it('get the variables that are not set as empty, so that PM2 forgets an earlier value', () => {
    const consumer = appsOf({ NODE_TYPE: 'single_node' }).find(({ name }) => name === 'consumer');
    expect(consumer?.env).toMatchObject({ LOG_LEVEL: '', TASK_QUEUE_PASSWD: '', REDIS_URL: '' });
  });

  it('have as long to stop as the consumer may drain, and five seconds more', () => {
    const consumer = appsOf({ NODE_TYPE: 'single_node', DRAIN_TIMEOUT: '90' }).find(({ name }) => name === 'consumer');
    expect(consumer?.kill_timeout).toBe(95_000);
  });

  it('take a variable by its other name too', () => {
    const api = appsOf({ NODE_TYPE: 'single_node', UVICORN_WORKERS: '', API_PROCESSES: '3' }).find(({ name }) => name === 'api');
    expect(api).toMatchObject({ instances: 3, env: { UVICORN_WORKERS: '3' } });
  });
});
