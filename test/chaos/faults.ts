/** What goes wrong, one thing after another, with pauses in which the installation must recover. */
import { setTimeout as delay } from 'node:timers/promises';
import { type Fault, now } from './history.ts';
import type { ChaosNode } from './node.ts';
import { signal } from './process-table.ts';
import { Random } from './random.ts';

type Harm = Pick<Fault, 'kind' | 'target'> & { weight: number };

const harms: readonly Harm[] = [
  { kind: 'kill', target: 'consumer', weight: 5 },
  { kind: 'kill', target: 'redis', weight: 3 },
  { kind: 'kill', target: 'api', weight: 2 },
  { kind: 'pause', target: 'consumer', weight: 3 },
  { kind: 'pause', target: 'redis', weight: 2 },
  { kind: 'pause', target: 'api', weight: 1 },
  { kind: 'cut', target: 'redis', weight: 3 },
  { kind: 'forget', target: 'redis', weight: 2 },
  { kind: 'fill', target: 'redis', weight: 2 },
  { kind: 'restart', target: 'consumer', weight: 2 },
  { kind: 'restart', target: 'api', weight: 1 },
];

const SHORTEST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 15_000;

/** Bytes that a full Redis has left. */
const HEADROOM = 100_000;

/** After most faults the next one comes soon; after some, late enough to see that work goes on (15 s). */
const SOON_MS = [1000, 5000] as const;
const LATE_MS = [15_500, 18_000] as const;
const LATE_CHANCE = 0.15;

export class Faults {
  readonly done: Fault[] = [];
  readonly #node: ChaosNode;
  readonly #random: Random;
  readonly #say: (line: string) => void;

  constructor(node: ChaosNode, seed: number, say: (line: string) => void) {
    this.#node = node;
    this.#random = new Random(seed, 'faults');
    this.#say = say;
  }

  /** Does harm until `until` (a time of `now()`), or until the signal. */
  async run(until: number, aborted: AbortSignal): Promise<void> {
    while (!aborted.aborted) {
      const [least, most] = this.#random.chance(LATE_CHANCE) ? LATE_MS : SOON_MS;
      const gapMs = this.#random.between(least, most);
      const harm = this.#random.weighted(harms);
      const ms = this.#random.between(SHORTEST_PAUSE_MS, LONGEST_PAUSE_MS);
      if (now() + gapMs > until) return;
      await delay(gapMs, undefined, { signal: aborted }).catch(() => undefined);
      if (!aborted.aborted) await this.#do(harm, Math.min(ms, Math.max(SHORTEST_PAUSE_MS, until - now())), aborted);
    }
  }

  async #do({ kind, target }: Harm, ms: number, aborted: AbortSignal): Promise<void> {
    const pids = kind === 'kill' || kind === 'pause' ? await this.#node.pids(target) : [];
    const pid = pids.length === 0 ? 0 : this.#random.pick(pids);
    const from = now();
    try {
      await this.#harm({ kind, target, pid, ms }, aborted);
    } catch (error) {
      // It came too soon after the last one: the target is still away.
      this.#say(`  ${kind} ${target} did not work: ${error instanceof Error ? error.message : String(error)}`);
    }
    this.done.push({ kind, target, pid, from, to: now() });
    this.#say(`  ${from.toFixed(0)}: ${kind} ${target}${pid === 0 ? '' : ` ${pid}`}, ${((now() - from) / 1000).toFixed(1)} s`);
  }

  async #harm({ kind, target, pid, ms }: Omit<Fault, 'from' | 'to'> & { ms: number }, aborted: AbortSignal): Promise<void> {
    const { redis } = this.#node;
    // To the system, 0 is this program with everything that belongs to it.
    if ((kind === 'kill' || kind === 'pause') && pid === 0) throw new Error('no process of it runs');
    switch (kind) {
      case 'kill':
        signal(pid, 'SIGKILL');
        if (target === 'redis') await this.#node.redisAnswers();
        return;
      case 'pause':
        signal(pid, 'SIGSTOP');
        await delay(ms, undefined, { signal: aborted }).catch(() => undefined);
        signal(pid, 'SIGCONT');
        if (target === 'redis') await this.#node.redisAnswers();
        return;
      case 'cut':
        await redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
        await redis.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
        return;
      case 'forget':
        await redis.script('FLUSH');
        return;
      case 'fill': {
        const used = Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1]);
        await redis.config('SET', 'maxmemory', used + HEADROOM);
        await delay(Math.min(ms, 6000), undefined, { signal: aborted }).catch(() => undefined);
        await redis.config('SET', 'maxmemory', 0);
        return;
      }
      case 'restart':
        await this.#node.pm2(target === 'api' ? 'reload' : 'restart', target);
    }
  }
}
