import { accessSync, constants, existsSync, type Stats, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CleanedVariables, VariableName } from './config-variables.ts';

/** The folder that holds package.json, found upwards from this file (which runs from shared/ and from dist/shared/). */
export const projectDir = findProjectDir(dirname(fileURLToPath(import.meta.url)));

function findProjectDir(start: string): string {
  const parent = dirname(start);
  return existsSync(join(start, 'package.json')) || parent === start ? start : findProjectDir(parent);
}

/** Every folder of an installation, absolute. */
export function foldersOf(env: CleanedVariables) {
  const root = resolve(env.FASTTASK_DIR ?? projectDir);
  const files = resolve(root, env.FILES_DIR ?? 'files');
  const system = join(files, 'fasttask');
  return {
    root,
    tasks: resolve(root, env.TASKS_DIR ?? 'tasks'),
    files,
    system,
    log: join(system, 'log'),
    conf: join(system, 'conf'),
    ssl: join(system, 'ssl_cert'),
    runtime: join(system, 'celery'),
  };
}

export type Folders = ReturnType<typeof foldersOf>;

/** What the derived variables are, whatever they were set to. */
export function derivedFrom(dirs: Folders): Partial<Record<VariableName, string>> {
  return { FASTTASK_FILES_DIR: dirs.system, LOG_DIR: dirs.log, CONF_DIR: dirs.conf, SSL_CERT_DIR: dirs.ssl, CELERY_DIR: dirs.runtime };
}

/** The certificate of the API: one's own when a path other than that of the generated one is set. */
export function certificateOf(env: CleanedVariables, dirs: Folders) {
  const generated = { keyFile: join(dirs.ssl, 'key.pem'), certFile: join(dirs.ssl, 'cert.pem') };
  const keyFile = resolve(dirs.root, env.SSL_KEYFILE ?? generated.keyFile);
  const certFile = resolve(dirs.root, env.SSL_CERTFILE ?? generated.certFile);
  return { keyFile, certFile, ownCertificate: keyFile !== generated.keyFile || certFile !== generated.certFile };
}

/** Whether the folder can be written, or made in the nearest folder that exists. `folder` is absolute. */
export function isCreatable(folder: string): boolean {
  if (!existsSync(folder)) return dirname(folder) !== folder && isCreatable(dirname(folder));
  return isFolder(folder) && isAllowed(folder, constants.W_OK | constants.X_OK);
}

/** False also when the path cannot be looked at. */
export function isFolder(path: string): boolean {
  return kindOf(path)?.isDirectory() ?? false;
}

export function isReadableFile(path: string): boolean {
  return (kindOf(path)?.isFile() ?? false) && isAllowed(path, constants.R_OK);
}

function kindOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

function isAllowed(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}
