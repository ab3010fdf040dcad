import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { ensureCertificate } from '../../shared/certificate.ts';
import { type Config, type Environment, projectDir } from '../../shared/config.ts';
import { isVariableName } from '../../shared/config-variables.ts';
import { redisConf, redisConfOf } from '../redis/conf.ts';
import type { RedisServer } from '../redis/ensure.ts';
import { type App, appsFor, systemVariableNames } from './apps.ts';

/** How a node gets its embedded server: `npm start` may unpack one, plain PM2 only finds one. */
export type RedisSource = (dir: string) => Promise<RedisServer>;

/** What has been written for a node's apps. */
export interface Preparation {
  apps: App[];
  /** Everything that the apps read at their start, to tell whether something has changed. */
  inputs: string[];
}

/** Makes the folders, the certificate, redis.conf and the secrets file, and gives the apps that use them. */
export async function prepare(
  config: Config,
  environment: Environment,
  redisSource: RedisSource,
  say: (line: string) => void,
): Promise<Preparation> {
  const { dirs, tls } = config;
  makeFolders(config);
  const redisDir = join(dirs.system, 'redis');
  const server = config.redis.embedded ? await redisSource(redisDir) : undefined;
  if (config.runs.api && tls.enabled && !tls.ownCertificate) {
    const made = await ensureCertificate({ keyFile: tls.keyFile, certFile: tls.certFile, apiHost: config.api.host });
    if (made) say(`made a certificate: ${tls.certFile}`);
  }
  const secrets = writeSecrets(config);
  const conf = join(dirs.conf, 'redis.conf');
  const redisText = server === undefined ? '' : redisConf(redisConfOf(config, join(redisDir, 'data')));
  if (server !== undefined) writePrivately(conf, redisText);
  const apps = appsFor(config, {
    environment,
    projectDir,
    node: process.execPath,
    cores: availableParallelism(),
    redis: server && { ...server, conf, confDigest: createHash('sha256').update(redisText).digest('hex').slice(0, 16) },
    secretsFile: secrets.file,
  });
  const certificate = config.runs.api && tls.enabled ? readFileSync(tls.certFile, 'utf8') : '';
  return { apps, inputs: [JSON.stringify(apps.map(withoutSystem)), secrets.text, certificate] };
}

/** Another shell's PATH, or a variable of the tasks' own, is no reason to restart anything; it goes along with the next change. */
function withoutSystem({ env, ...app }: App) {
  const matters = (name: string) => app.name === 'redis' || isVariableName(name) || name.startsWith('FASTTASK_');
  return { ...app, env: Object.entries(env).filter(([name]) => matters(name) && !systemVariableNames.some((system) => system === name)) };
}

function makeFolders({ dirs, pm2Home, redis }: Config): void {
  for (const folder of [dirs.root, dirs.files, dirs.system, dirs.log]) makeFolder(folder, 0o755);
  for (const folder of [dirs.conf, dirs.ssl, dirs.runtime, ...(redis.embedded ? [join(dirs.system, 'redis/data')] : [])]) {
    makeFolder(folder, 0o700);
    chmodSync(folder, 0o700);
  }
  makeFolder(pm2Home, 0o700);
}

/** Makes a folder and those above it. Node's own recursive mkdir never ends where a file system refuses with ENOENT, as /proc does. */
export function makeFolder(folder: string, mode: number): void {
  if (existsSync(folder)) return;
  makeFolder(dirname(folder), mode);
  try {
    mkdirSync(folder, { mode });
  } catch (error) {
    if (!existsSync(folder)) throw error;
  }
}

/** The secrets lie in a file and not in an environment, because a task can read the environment of its process. */
function writeSecrets({ dirs, redis }: Config): { file: string; text: string } {
  const file = join(dirs.conf, 'secrets.json');
  const text = `${JSON.stringify(redis.url === undefined ? { TASK_QUEUE_PASSWD: redis.password } : { REDIS_URL: redis.url })}\n`;
  writePrivately(file, text);
  return { file, text };
}

/** Writes a file that only its owner can read, in one step. */
export function writePrivately(file: string, text: string): void {
  if (existsSync(file) && readFileSync(file, 'utf8') === text) {
    chmodSync(file, 0o600);
    return;
  }
  writeFileSync(`${file}.new`, text, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}
