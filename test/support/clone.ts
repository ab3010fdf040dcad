import { cpSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { delimiter, join, relative } from 'node:path';
import { projectDir } from '../../shared/config.ts';
import { redisProgram } from './redis.ts';
import { tempDir } from './temp.ts';

/** What .gitignore names, and the history: a fresh clone has none of it. */
const NOT_CLONED = ['.git', 'node_modules', 'dist', 'files', 'coverage', '.tmp'];

/** A copy of this checkout, changes included, as a fresh clone would be: nothing installed, nothing built. */
export function freshClone(): string {
  const folder = join(tempDir('clone'), 'fasttask');
  cpSync(projectDir, folder, { recursive: true, filter: (path) => !NOT_CLONED.includes(relative(projectDir, path)) });
  return folder;
}

const isRedis = (program: string) => /^(redis|valkey)-/.test(program);

/** The PATH without any Redis: folders that hold one are replaced by links to everything else in them. */
export function pathWithoutRedis(path = process.env['PATH'] ?? ''): string {
  const folders = path.split(delimiter).map((folder) => {
    if (!existsSync(folder) || !readdirSync(folder).some(isRedis)) return folder;
    const links = tempDir('path');
    for (const program of readdirSync(folder)) if (!isRedis(program)) symlinkSync(join(folder, program), join(links, program));
    return links;
  });
  return folders.join(delimiter);
}

/** A folder for the PATH with a `redis-server`, whichever one the tests have. */
export async function folderWithRedis(): Promise<string> {
  const { command, env } = await redisProgram();
  const folder = join(tempDir('bin'), 'bin');
  mkdirSync(folder);
  const settings = Object.entries(env).map(([name, value]) => `${name}='${value}' `);
  writeFileSync(join(folder, 'redis-server'), `#!/bin/sh\n${settings.join('')}exec '${command}' "$@"\n`, { mode: 0o755 });
  return folder;
}
