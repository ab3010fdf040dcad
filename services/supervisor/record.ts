import { createHash } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Config, projectDir } from '../../shared/config.ts';
import type { NodeAddress } from './address.ts';
import { writePrivately } from './preparation.ts';

/** What is running: kept beside the configuration, so that a later command knows it whatever its own environment says. */
export interface StartRecord {
  /** Of everything that the apps read at their start. */
  digest: string;
  /** Where the API answers; a worker has none. */
  address: NodeAddress | null;
}

const fileOf = ({ dirs }: Config) => join(dirs.conf, 'started.json');

/** The record of the last start, if it can be read. */
export function readRecord(config: Config): StartRecord | undefined {
  try {
    const record: Partial<StartRecord> | null = JSON.parse(readFileSync(fileOf(config), 'utf8'));
    const { digest, address = null } = record ?? {};
    return digest === undefined ? undefined : { digest, address };
  } catch {
    return undefined;
  }
}

/** Keeps the record of a start that has succeeded. */
export function writeRecord(config: Config, record: StartRecord): void {
  writePrivately(fileOf(config), `${JSON.stringify(record)}\n`);
}

/** Forgets it: nothing runs any more. */
export function removeRecord(config: Config): void {
  rmSync(fileOf(config), { force: true });
}

/** The digest of what the apps were prepared from and of the build that they run. */
export function digestOf(inputs: readonly string[]): string {
  const hash = createHash('sha256');
  for (const input of [...inputs, readFileSync(join(projectDir, 'dist/.fasttask-built'), 'utf8')]) hash.update(input).update('\0');
  return hash.digest('hex');
}
