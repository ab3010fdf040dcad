/** Requests over TLS from a process of their own, the same for FastTask and for its floors. */
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectDir } from '../../shared/config.ts';
import { run } from '../support/processes.ts';
import { tempDir } from '../support/temp.ts';
import type { Target } from './system.ts';

/** One request; its target answers 200. */
export interface Ask {
  method: 'GET' | 'POST';
  path: string;
  body?: string;
}

export interface Load {
  /** Sent in turn by all connections together. */
  asks: readonly Ask[];
  /** Keep-alive connections, each with one request at a time. Default 32. */
  connections?: number;
  /** Seconds that are counted, after half a second that warms up. Default 2.5. */
  seconds?: number;
  /** Each request is sent once: the load ends early when there is none left, and nothing warms up. */
  once?: boolean;
}

/** What a load found. Times in milliseconds. */
export interface Loaded {
  perSecond: number;
  p50: number;
  p99: number;
  /** Part of one core that the sender used: near 1 it was the sender that was measured. */
  senderCores: number;
}

let folder: string | undefined;

/** @throws Error when more than one request in a hundred is not answered with 200; those few are not counted */
export async function load({ origin, headers }: Pick<Target, 'origin' | 'headers'>, wish: Load): Promise<Loaded> {
  folder ??= tempDir('load');
  const spec = join(folder, randomUUID());
  writeFileSync(spec, JSON.stringify({ connections: 32, seconds: 2.5, once: false, ...wish, origin, headers }));
  const program = join(projectDir, 'test', 'bench', 'floors', 'load.mjs');
  const { code, output } = await run(process.execPath, [program, spec], { name: 'load', timeoutMs: 120_000 });
  if (code !== 0) throw new Error(`the load on ${origin} failed:\n${output}`);
  return JSON.parse(output) as Loaded;
}
