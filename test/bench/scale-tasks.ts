/** Tasks that do nothing, as many as a benchmark needs. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tempDir } from '../support/temp.ts';

const SOURCE = `import { defineTask, z } from 'fasttask';

export default defineTask({ description: 'Does nothing.', params: z.object({}), result: z.null(), run: () => null });
`;

/** Of these names a cluster of three masters keeps two on each. */
export const SPREAD_NAMES = ['noop_a', 'noop_b', 'noop_c', 'noop_d', 'noop_f', 'noop_g'];

/** A folder with these tasks. */
export function noopTasks(names: readonly string[]): string {
  const folder = join(tempDir('tasks'), 'tasks');
  mkdirSync(folder);
  for (const name of names) writeFileSync(join(folder, `${name}.ts`), SOURCE);
  return folder;
}
