/** The tasks that the fuzz calls: those that do no harm, with values that end soon. */
import { cpSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { projectDir } from '../../shared/config.ts';
import { tempDir } from '../support/temp.ts';
import type { Schema } from './schema.ts';

const FIXTURES = ['crowded', 'guarded', 'misbehave', 'noop', 'redos', 'refined', 'talks', 'traces', 'wait', 'wrong_result'];
const EXAMPLES = ['count_primes', 'count_words', 'get_circle_area', 'get_hypotenuse', 'packages'];

/** Ways to misbehave that leave the thread alive. */
const HARMLESS_WAYS = ['fine', 'throw', 'throw_text', 'reject', 'bigint', 'circular', 'give_up', 'proxy', 'getters', 'garbage', 'overflow'];

/**
 * What valid params are narrowed to, by task and property: their schemas allow a job to take all of its time. A property that is named
 * here is always given, as its default may be long too.
 */
export const NARROWED: Readonly<Record<string, Readonly<Record<string, Schema>>>> = {
  count_primes: { below: { type: 'integer', minimum: 2, maximum: 2000 } },
  count_words: { pauseSeconds: { type: 'number', minimum: 0, maximum: 0.002 } },
  guarded: { what: { enum: ['quick'] } },
  misbehave: { way: { enum: HARMLESS_WAYS } },
  // Its pattern takes twice as long for each further letter where a text does not fit; the time limit of checks has its own test.
  redos: { word: { type: 'string', pattern: '^a{1,40}$' } },
  talks: { lines: { type: 'integer', minimum: 0, maximum: 20 } },
  traces: { leave: { enum: ['nothing'] } },
  wait: { seconds: { type: 'number', minimum: 0, maximum: 0.005 } },
};

/** How many jobs of this task may be refused with 429. */
export const LIMITED_TASK = 'crowded';

/** Copies the task files into a new folder. */
export function tasksFolder(): { folder: string; names: string[] } {
  const folder = tempDir('tasks');
  const copy = (from: string, name: string) => cpSync(join(projectDir, from, name), join(folder, name), { recursive: true });
  for (const name of EXAMPLES) copy('tasks', name === 'packages' ? name : `${name}.ts`);
  for (const name of FIXTURES) copy('test/fixtures/tasks', `${name}.ts`);
  copy('test/fuzz/tasks', 'shapes.ts');
  return { folder, names: readdirSync(folder).flatMap((name) => (name.endsWith('.ts') ? [name.slice(0, -3)] : [])) };
}
