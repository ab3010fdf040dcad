/** The ids that the API gave, for requests that ask after them. */
import { randomUUID } from 'node:crypto';
import type { ApiRequest, Spoiling } from './request.ts';

/** How many are remembered, and for how long in milliseconds: a result that has expired is no fault. */
const KEPT = 500;
const FRESH_MS = 30_000;

const UUID_LENGTH = 36;

export class Ids {
  readonly #kept: { id: string; givenAt: number }[] = [];

  add(ids: readonly string[]): void {
    const givenAt = performance.now();
    this.#kept.push(...ids.map((id) => ({ id, givenAt })));
    if (this.#kept.length > 2 * KEPT) this.#kept.splice(0, this.#kept.length - KEPT);
  }

  /** The request with an id in its place; one that nobody gave while there is none. */
  fill(request: ApiRequest): ApiRequest {
    const { id: choice, known, ...rest } = request;
    if (choice === undefined) return request;
    const given = this.#kept.at(-1 - choice.nth);
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
