/** What the API gave: ids of jobs and the name of a file, for requests that ask after them. */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { Reply } from './exchange.ts';
import type { ApiRequest, Spoiling } from './request.ts';

/** How many ids are remembered, and for how long they are known in milliseconds: a result that has expired is no fault. */
const KEPT = 500;
const FRESH_MS = 30_000;

const UUID_LENGTH = 36;

const gift = z.object({ id: z.string().optional(), ids: z.array(z.string()).optional(), file_name: z.string().optional() });

export class Given {
  readonly #ids: { id: string; givenAt: number }[] = [];
  #file = 'nobody.txt';

  /** Remembers what an answer of /create, /run, a batch or /upload gave. */
  learn({ kind }: ApiRequest, { status, text }: Reply): void {
    if (status >= 300 || !['create', 'run', 'batch', 'upload'].includes(kind)) return;
    const { id, ids = [], file_name } = gift.parse(JSON.parse(text));
    const givenAt = performance.now();
    this.#ids.push(...(id === undefined ? ids : [id]).map((one) => ({ id: one, givenAt })));
    if (this.#ids.length > 2 * KEPT) this.#ids.splice(0, this.#ids.length - KEPT);
    this.#file = file_name ?? this.#file;
  }

  /** The request with an id or a name in its place; one that nobody gave while there is none. */
  fill({ id: choice, known, ...rest }: ApiRequest): ApiRequest {
    if (choice === undefined) return { ...rest, path: rest.path.replace('{file}', () => encodeURIComponent(this.#file)) };
    const given = this.#ids.at(-1 - choice.nth);
    const fresh = given !== undefined && performance.now() - given.givenAt < FRESH_MS;
    const id = spoil(given?.id ?? `x-noop-${randomUUID()}`, choice.spoiling);
    const sure = known !== undefined && fresh && choice.spoiling === 'none';
    return {
      ...rest,
      path: rest.path.replace('{id}', encodeURIComponent(id)),
      ...(rest.body === undefined ? {} : { body: rest.body.replace('"{id}"', () => JSON.stringify(id)) }),
      ...(sure ? { statuses: known } : {}),
    };
  }
}

const changes: Readonly<Record<Spoiling, (id: string) => string>> = {
  none: (id) => id,
  'upper case': (id) => id.toUpperCase(),
  cut: (id) => id.slice(0, -1),
  longer: (id) => `${id}0`,
  'other uuid': (id) => id.slice(0, -UUID_LENGTH) + randomUUID(),
  'other task': (id) => id.replace(/-[a-z_]+-/, '-nobody-'),
  'other installation': (id) => `other${id}`,
  NUL: (id) => `${id}\u0000`,
  dots: (id) => `../${id}`,
};

function spoil(id: string, spoiling: Spoiling): string {
  return changes[spoiling](id);
}
