/** A client that goes on submitting jobs, whatever becomes of the network, and keeps what it was told. */
import { setTimeout as pause } from 'node:timers/promises';
import { jobOf } from '../support/https.ts';
import type { NetworkInstallation } from './installation.ts';

const EVERY_MS = 100;

/** How long it waits for an answer, in milliseconds. */
const PATIENCE_MS = 3000;

export interface Load {
  /** Ids of the jobs that were acknowledged. */
  readonly acknowledged: readonly string[];
  /** What came instead: a status, or `none` when no answer came. */
  readonly refused: readonly (number | 'none')[];
  /** The longest time that an answer took, in milliseconds. */
  readonly slowestMs: number;
  /** Submits nothing more, and waits for the answers. */
  stop(): Promise<void>;
}

/** Submits a short job to one of the APIs in turn, ten times a second. */
export function startLoad({ apis }: NetworkInstallation, targets: readonly (keyof typeof apis)[]): Load {
  const acknowledged: string[] = [];
  const refused: (number | 'none')[] = [];
  const asking = new Set<Promise<void>>();
  let slowestMs = 0;
  let stopped = false;

  const ask = async (target: keyof typeof apis) => {
    const from = performance.now();
    try {
      const answer = await apis[target].post('/create/anywhere', { ms: 50 }, { timeoutMs: PATIENCE_MS });
      slowestMs = Math.max(slowestMs, performance.now() - from);
      if (answer.status === 200) acknowledged.push(jobOf(answer).id);
      else refused.push(answer.status);
    } catch {
      refused.push('none');
    }
  };

  const run = async () => {
    for (let turn = 0; !stopped; turn += 1) {
      const target = targets[turn % targets.length];
      if (target === undefined) throw new Error('expected an API to submit to');
      const one = ask(target).finally(() => asking.delete(one));
      asking.add(one);
      await pause(EVERY_MS);
    }
  };
  const running = run();
  return {
    acknowledged,
    refused,
    get slowestMs() {
      return slowestMs;
    },
    async stop() {
      stopped = true;
      await running;
      await Promise.all(asking);
    },
  };
}
