import { pbkdf2Sync } from 'node:crypto';
import { openSync, writeSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { type TaskDefinition, z } from 'fasttask';

const now = () => Number(process.hrtime.bigint()) / 1e6;

/** Overwrites one number in a file: what it holds last is the last moment at which the code ran. */
function pulse(file: string): () => void {
  const handle = openSync(file, 'w');
  const bytes = Buffer.alloc(8);
  return () => {
    bytes.writeDoubleLE(now());
    writeSync(handle, bytes, 0, 8, 0);
  };
}

/** A task that runs into its limits in one of many ways and notes when. */
export const probe = {
  description: 'Runs into its limits in one of many ways and notes when.',
  params: z.object({ way: z.string(), dir: z.string() }),
  result: z.unknown(),
  async run({ way, dir }, ctx) {
    if (way === 'nothing') return null;
    const started = pulse(`${dir}/start`);
    const alive = pulse(`${dir}/alive`);
    const soft = pulse(`${dir}/soft`);
    started();
    alive();
    ctx.signal.addEventListener('abort', soft);
    if (way === 'async') for (;;) await pause(1).then(alive);
    if (way === 'never resolves') await new Promise(() => {});
    if (way === 'native call') pbkdf2Sync('password', 'salt', 1_000_000_000, 64, 'sha512');
    if (way === 'regular expression') regex(alive);
    if (way === 'loop with check()') seen(() => loop(alive, () => ctx.check()), soft, alive);
    if (way === 'loop under guard()') seen(() => ctx.guard(() => loop(alive, () => {})), soft, alive);
    if (way === 'regular expression under guard()') seen(() => ctx.guard(() => regex(alive)), soft, alive);
    return loop(alive, () => {});
  },
} satisfies TaskDefinition<{ way: string; dir: string }, unknown>;

/** Notes that the soft limit was seen, and goes on. */
function seen(work: () => void, soft: () => void, alive: () => void): void {
  try {
    work();
  } catch {
    soft();
    loop(alive, () => {});
  }
}

function loop(alive: () => void, check: () => void): never {
  for (;;) {
    check();
    alive();
  }
}

function regex(alive: () => void): never {
  for (;;) {
    alive();
    // About 10 ms each: short enough to see when it ends, and nothing in it looks at anything.
    /^(a+)+$/.test(`${'a'.repeat(19)}b`);
  }
}
