/** What clients do while everything breaks: submit, revoke, look. What they were told is all that they note. */
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { type Answer, jobOf } from '../support/https.ts';
import { type AcknowledgedJob, now, type Revoke, type Sighting } from './history.ts';
import type { ChaosNode } from './node.ts';
import { Random } from './random.ts';
import { kindOf, kinds } from './workload.ts';

/** Jobs a second. */
export const RATE = 35;

/** Requests a second that revoke a job, and that look at one. */
const REVOKES = 3;
const LOOKS = 15;

/** A client with so many open requests waits: the API is away. */
const MOST_OPEN = 60;

const REQUEST_MS = 15_000;
const LARGEST_BATCH = 8;

/** The jobs acknowledged last: those of which something may still be waiting or running. */
const RECENT = 40;

const batchAnswer = z.object({ ids: z.array(z.string()) });
const revokeAnswer = z.object({ status: z.string(), message: z.string() });

export class Load {
  readonly jobs: AcknowledgedJob[] = [];
  readonly revokes: Revoke[] = [];
  readonly sightings: Sighting[] = [];
  submitted = 0;
  readonly #client: ChaosNode['client'];
  readonly #submitting: Random;
  readonly #revoking: Random;
  readonly #looking: Random;
  readonly #open = new Set<Promise<void>>();

  constructor({ client }: ChaosNode, seed: number) {
    this.#client = client;
    this.#submitting = new Random(seed, 'submit');
    this.#revoking = new Random(seed, 'revoke');
    this.#looking = new Random(seed, 'look');
  }

  /** Submits, revokes and looks until the signal; resolves when every request has its answer. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([
      this.#every(1000 / RATE, signal, () => this.#submit()),
      this.#every(1000 / REVOKES, signal, () => this.#revoke()),
      this.#every(1000 / LOOKS, signal, () => this.#look()),
    ]);
    await Promise.all(this.#open);
  }

  async #every(ms: number, signal: AbortSignal, request: () => Promise<void>): Promise<void> {
    for (let dueAt = now(); !signal.aborted; dueAt = Math.max(dueAt + ms, now() - 200)) {
      await delay(Math.max(0, dueAt + ms - now()));
      if (this.#open.size >= MOST_OPEN) continue;
      // Whoever gets no answer knows nothing: that is what faults are for.
      const open = request()
        .catch(() => undefined)
        .finally(() => this.#open.delete(open));
      this.#open.add(open);
    }
  }

  async #submit(): Promise<void> {
    const random = this.#submitting;
    const { task, params } = random.weighted(kinds);
    const way = random.next();
    const count = way < 0.04 ? random.whole(2, LARGEST_BATCH) : 1;
    const bodies = Array.from({ length: count }, () => params(random));
    const waitSeconds = random.whole(0, 5);
    const sentAt = now();
    this.submitted += count;
    if (count > 1) {
      const answer = await this.#client.post(`/create/${task}/batch`, bodies, { timeoutMs: REQUEST_MS });
      if (answer.status === 200) this.#acknowledge(task, batchAnswer.parse(answer.body).ids, bodies, sentAt);
      return;
    }
    const runs = way < 0.15;
    const headers = { prefer: `wait=${waitSeconds}` };
    const answer = await this.#client.post(`/${runs ? 'run' : 'create'}/${task}`, bodies[0], {
      timeoutMs: REQUEST_MS,
      ...(runs && { headers }),
    });
    if (answer.status !== 200 && answer.status !== 202) return;
    const { id } = jobOf(answer);
    this.#acknowledge(task, [id], bodies, sentAt);
    if (runs && answer.status === 200) this.sightings.push(sightingOf(id, sentAt, answer));
  }

  #acknowledge(task: string, ids: readonly string[], bodies: readonly Record<string, unknown>[], sentAt: number): void {
    const acknowledgedAt = now();
    ids.forEach((id, index) => {
      const failures = bodies[index]?.['failures'];
      this.jobs.push({ id, task: kindOf(task).task, sentAt, acknowledgedAt, ...(typeof failures === 'number' && { failures }) });
    });
  }

  async #revoke(): Promise<void> {
    const job = this.#recent(this.#revoking);
    if (job === undefined) return;
    const revoke = { id: job.id, sentAt: now(), answeredAt: Number.MAX_SAFE_INTEGER, message: '' };
    this.revokes.push(revoke);
    const { status, body } = await this.#client.post('/revoke', { result_id: job.id }, { timeoutMs: REQUEST_MS });
    revoke.answeredAt = now();
    if (status === 200) revoke.message = revokeAnswer.parse(body).message;
  }

  async #look(): Promise<void> {
    const random = this.#looking;
    const job = random.chance(0.7) ? this.#recent(random) : this.jobs[random.whole(0, this.jobs.length - 1)];
    if (job !== undefined) this.sightings.push(await this.look(job.id));
  }

  #recent(random: Random): AcknowledgedJob | undefined {
    return this.jobs.at(-random.whole(1, RECENT));
  }

  /** One look at a job. @throws Error when the API tells nothing */
  async look(id: string): Promise<Sighting> {
    const sentAt = now();
    const answer = await this.#client.get(`/check/${id}`, { timeoutMs: REQUEST_MS });
    if (answer.status === 404) return { id, sentAt, answeredAt: now(), state: 'MISSING', result: '' };
    if (answer.status !== 200) throw new Error(`expected 200 or 404 for ${id}, got ${answer.status}`);
    return sightingOf(id, sentAt, answer);
  }
}

function sightingOf(id: string, sentAt: number, answer: Answer): Sighting {
  const { state, result } = jobOf(answer);
  return { id, sentAt, answeredAt: now(), state, result: JSON.stringify(result) };
}
