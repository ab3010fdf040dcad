/** What a run was made with. */
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { projectDir } from '../../shared/config.ts';
import { place } from './measure.ts';
import { aof } from './system.ts';

const PACKAGES = ['bullmq', 'piscina', 'koa', 'ioredis'] as const;

/** The header of a run, as text and as data. @param redis the server's version */
export function headerOf(redis: string, rounds: number) {
  const versions = Object.fromEntries(PACKAGES.map((name) => [name, versionOf(name)]));
  const [cpu] = cpus();
  const packages = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return {
    text: `${place(redis)} (${cpu?.model.trim()}), AOF ${aof}; ${packages.join(', ')}; medians of ${rounds} rounds (least–most)`,
    data: {
      node: process.version,
      redis,
      ...versions,
      cores: cpus().length,
      cpu: cpu?.model.trim(),
      aof,
      rounds,
      at: new Date().toISOString(),
    },
  };
}

function versionOf(name: string): string {
  const { version } = JSON.parse(readFileSync(join(projectDir, 'node_modules', name, 'package.json'), 'utf8')) as { version: string };
  return version;
}
