/** The clients of a chaos run: they submit, revoke and look, over HTTPS. */
import { setTimeout as pause } from 'node:timers/promises';
import { apiClient } from '../support/https.ts';
import type { Acknowledged, Observation, Revoke, Task } from './history.ts';
import { nowMs } from './history.ts';
import { Random } from './random.ts';

const CLIENTS = 4;
/** What is submitted often and seldom: a process of its own costs a third of a second of a core. */
const COMMON: readonly [Task, ...Task[]] = ['waits', 'waits', 'waits', 'fails', 'limited'];
const RARE: readonly [Task, ...Task[]] = ['spins', 'exits', 'isolated'];
const KEYS: readonly [string, ...string[]] = ['red', 'blue'];
const TIMEOUT_MS = 6000;

export class Load {
  readonly acknowledged: Acknowledged[] = [];
  readonly revokes: Revoke[] = [];
  readonly observations: Observation[] = [];
  /** Requests that were not acknowledged, by status or error. */
  readonly refused: Record<string, number> = {};
  readonly #api: ReturnType<typeof apiClient>;
  readonly #seed: number;
  #stopped = false;
  #running: Promise<void>[] = [];

  constructor(origin: string, seed: number) {
    this.#api = apiClient(origin);
    this.#seed = seed;
  }

  start(): void {
    const clients = Array.from({ length: CLIENTS }, (_, index) => new Random(this.#seed * 100 + index));
    this.#running = clients.map((random) => this.#client(random));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
  }

  /** Looks at a job once. Undefined when nobody answered. */
  async look(id: string): Promise<Observation | undefined> {
    const answer = await this.#send('GET', `/check/${id}`);
    if (answer === undefined || ![200, 404].includes(answer.status)) return undefined;
    const { state = 'missing' } = answer.body as { state?: string };
    return { id, state, atMs: nowMs() };
  }

  async #client(random: Random): Promise<void> {
    while (!this.#stopped) {
      await this.#submit(random);
      if (random.next() < 0.15) await this.#revoke(random);
      if (random.next() < 0.5) await this.#observe(random);
      await pause(random.between(60, 260));
    }
  }

  async #submit(random: Random): Promise<void> {
    const task = random.pick(random.next() < 0.9 ? COMMON : RARE);
    const pauseMs = Math.round(random.between(0, 80));
    const key = task === 'waits' && random.next() < 0.3 ? random.pick(KEYS) : undefined;
    const params = {
      pauseMs,
      ...(key === undefined ? {} : { fasttask_concurrency_params: { concurrency_key: key, max_concurrency: 2, countdown: 5 } }),
    };
    const sentMs = nowMs();
    const batch = random.next() < 0.1;
    const answer = await this.#send('POST', `/create/${task}${batch ? '/batch' : ''}`, batch ? [params, params, params] : params);
    if (answer?.status !== 200) return;
    const { id, ids = [id ?? ''] } = answer.body as { id?: string; ids?: string[] };
    for (const one of ids) this.acknowledged.push({ id: one, task, sentMs, atMs: nowMs(), ...(key === undefined ? {} : { key }) });
  }

  async #revoke(random: Random): Promise<void> {
    const job = this.#recent(random);
    if (job === undefined) return;
    const answer = await this.#send('POST', '/revoke', { result_id: job.id });
    if (answer?.status !== 200) return;
    const { message } = answer.body as { message: string };
    this.revokes.push({ id: job.id, message, atMs: nowMs() });
  }

  async #observe(random: Random): Promise<void> {
    const job = this.#recent(random);
    const seen = job && (await this.look(job.id));
    if (seen !== undefined) this.observations.push(seen);
  }

  #recent(random: Random): Acknowledged | undefined {
    const last = this.acknowledged.slice(-40);
    return last[Math.floor(random.next() * last.length)];
  }

  async #send(method: 'GET' | 'POST', path: string, body?: unknown) {
    try {
      const answer = await this.#api.send(method, path, body, { timeoutMs: TIMEOUT_MS });
      if (answer.status !== 200) this.#count(String(answer.status));
      return answer;
    } catch (error) {
      this.#count(error instanceof Error && 'code' in error ? String(error.code) : String(error));
      return undefined;
    }
  }

  #count(reason: string): void {
    this.refused[reason] = (this.refused[reason] ?? 0) + 1;
  }
}
