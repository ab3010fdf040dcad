/** Bodies of requests as JSON text, valid and near-valid, with what the API must make of them. */
import fc, { type Arbitrary } from 'fast-check';
import { type Edit, jsonText } from './json-text.ts';
import { mutantsOf, type Outcome } from './mutants.ts';
import type { Schema, Schemas } from './schema.ts';
import { NARROWED } from './tasks.ts';

export interface Body {
  text: string;
  /** What was done to it, for the report. */
  change: string;
  outcome: Outcome | 'unreadable';
  /** Items of a batch. */
  items?: number;
}

const CONCURRENCY = 'fasttask_concurrency_params';

/** Places of a concurrency key that no job is held at for long. */
const concurrency: Schema = {
  type: 'object',
  required: ['concurrency_key', 'max_concurrency', 'expire', 'countdown'],
  properties: {
    concurrency_key: { enum: ['a', 'b', 'ß', '', 'a:b'] },
    max_concurrency: { type: 'integer', minimum: 8, maximum: 100 },
    countdown: { type: 'number', exclusiveMinimum: 0, maximum: 1 },
    expire: { type: 'number', minimum: 5, maximum: 60 },
  },
};

/** Bodies of one schema. */
export class Bodies {
  readonly #schemas: Schemas;
  readonly #schema: Schema;
  readonly #narrowed: ReadonlySet<string>;
  readonly #values: Arbitrary<unknown>;

  /** @param task where the params of a task are meant: they are narrowed so that its jobs end soon */
  constructor(schemas: Schemas, schema: Schema, task = '') {
    const known = schemas.resolve(schema);
    const narrowed = NARROWED[task] ?? {};
    const own = {
      ...known.properties,
      ...narrowed,
      ...(known.properties?.[CONCURRENCY] === undefined ? {} : { [CONCURRENCY]: concurrency }),
    };
    this.#schemas = schemas;
    this.#schema = schema;
    this.#narrowed = new Set(Object.keys(narrowed));
    this.#values = schemas.valuesOf({ ...known, properties: own, required: [...(known.required ?? []), ...Object.keys(narrowed)] });
  }

  /** One value: valid, with one change, cut off, or no such thing at all. */
  any(): Arbitrary<Body> {
    return fc.oneof(
      { weight: 3, arbitrary: this.#values.map((value) => ({ text: JSON.stringify(value), change: 'none', outcome: 'valid' as const })) },
      { weight: 6, arbitrary: this.#mutated() },
      { weight: 1, arbitrary: this.#cut() },
      { weight: 1, arbitrary: fc.json({ maxDepth: 3 }).map((text) => ({ text, change: 'other JSON', outcome: 'unclear' as const })) },
      {
        weight: 1,
        arbitrary: fc.string({ unit: 'binary' }).map((text) => ({ text, change: 'random text', outcome: 'unreadable' as const })),
      },
    );
  }

  /** A list of valid values, one of them changed in half of the lists. */
  batch(): Arbitrary<Body> {
    const items = fc.array(this.#values, { minLength: 0, maxLength: 4 });
    const whole = items.map((list) => ({
      text: JSON.stringify(list),
      change: 'none',
      outcome: list.length > 0 ? ('valid' as const) : ('invalid' as const),
      items: list.length,
    }));
    const spoilt = fc.tuple(items, this.any(), fc.nat(4)).map(([list, body, at]) => {
      const texts = list.map((item) => JSON.stringify(item));
      texts.splice(at, 0, body.text);
      // A text that is no JSON could close the list and open another.
      const outcome = body.change === 'random text' ? ('unreadable' as const) : body.outcome;
      return {
        text: `[${texts.join(',')}]`,
        change: `item: ${body.change}`,
        outcome,
        ...(outcome === 'valid' ? { items: texts.length } : {}),
      };
    });
    const many = fc.constant({ text: `[${'{},'.repeat(10_000)}{}]`, change: 'too many items', outcome: 'invalid' as const });
    return fc.oneof(
      { weight: 30, arbitrary: whole },
      { weight: 30, arbitrary: spoilt },
      { weight: 5, arbitrary: this.any().map(asNoList) },
      { weight: 1, arbitrary: many },
    );
  }

  #mutated(): Arbitrary<Body> {
    return this.#values.chain((value) => {
      const byName = new Map<string, { edit: Edit; outcome: Outcome }[]>();
      for (const { name, ...mutant } of mutantsOf(this.#schemas, this.#schema, value, this.#narrowed))
        byName.set(name, [...(byName.get(name) ?? []), mutant]);
      return fc
        .constantFrom(...byName)
        .chain(([change, mutants]) =>
          fc.constantFrom(...mutants).map(({ edit, outcome }) => ({ text: jsonText(value, edit), change, outcome })),
        );
    });
  }

  #cut(): Arbitrary<Body> {
    return fc.tuple(this.#values, fc.nat()).map(([value, at]) => {
      const text = JSON.stringify(value);
      return { text: text.slice(0, at % text.length), change: 'cut off', outcome: 'invalid' as const };
    });
  }
}

function asNoList(body: Body): Body {
  const may = body.change === 'random text' || body.change === 'other JSON' || body.outcome === 'refused';
  return may ? body : { ...body, outcome: 'invalid' };
}
