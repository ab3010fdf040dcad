import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { TestQueue } from '../support/queue.ts';
import { tempDir } from '../support/temp.ts';

let queue: TestQueue;
let tasksDir: string;

beforeEach(async () => {
  queue = await TestQueue.start();
  tasksDir = tempDir('tasks');
  mkdirSync(join(tasksDir, 'packages'));
});
afterEach(() => queue.stop());

const task = (more: string) => `import { defineTask, z } from 'fasttask';
export default defineTask({ description: 'A task.', params: z.object({}), result: z.unknown(), ${more} });`;

const write = (file: string, text: string) => writeFileSync(join(tasksDir, file), text);

it('reports each file that is no task with its path and reason, and loads the others', async () => {
  write('good.ts', task('run: () => 1'));
  write('no_default.ts', 'export const answer = 42;');
  write('broken_syntax.ts', 'export default {\n  run( {\n');
  write('missing_import.ts', "import { nothing } from './packages/missing.ts';\nexport default nothing;");
  write('throws_on_import.ts', "throw new Error('the database is not there');");
  write('exits_on_import.ts', 'process.exit(7);');
  write('too_long.ts', task('timeLimit: 1e9, retries: -1, run: () => 1'));
  write(
    'no_schema.ts',
    "import { defineTask } from 'fasttask';\nexport default defineTask({ description: 'x', params: {}, result: {}, run: () => 1 });",
  );
  write('bad-name.ts', task('run: () => 1'));
  write('good.js', task('run: () => 2'));
  write('notes.md', 'not a task');
  const consumer = await queue.consumer({ TASKS_DIR: tasksDir });
  expect([...queue.registry.tasks.keys()]).toEqual(['good']);
  const reasons = Object.fromEntries(
    consumer.log.filter(({ event }) => event === 'task.refused').map(({ file, reason }) => [file, reason]),
  );
  expect(reasons).toEqual({
    'good.ts': expect.stringMatching(/good\.js already/),
    'no_default.ts': expect.stringMatching(/^expected a default export made by defineTask/),
    'broken_syntax.ts': expect.stringMatching(/^broken_syntax\.ts:\d+:\d+: Expected/),
    'missing_import.ts': expect.stringMatching(/^missing_import\.ts:1:\d+: .*missing\.ts/),
    'throws_on_import.ts': expect.stringMatching(/^Error: the database is not there/),
    'exits_on_import.ts': expect.stringMatching(/exit code 7/),
    'too_long.ts': expect.stringMatching(/timeLimit: expected seconds .* TIME_LIMIT.*; retries: expected a whole number/),
    'no_schema.ts': expect.stringMatching(/^params: expected a Standard Schema/),
    'bad-name.ts': expect.stringMatching(/expected a file name/),
  });
  expect(await queue.result('good')).toEqual({ state: 'SUCCESS', result: 2 });
});

it('imports helpers as ./packages/x.ts and as x.js, JSON, Node’s modules, and knows its own place', async () => {
  write('packages/math.ts', 'export enum Unit { One = 1 }\nexport const double = (value: number): number => value * 2;');
  write('packages/data.json', '{"seven":7}');
  write('packages/place.ts', "export const place = new URL('data.json', import.meta.url).pathname;");
  write(
    'helped.ts',
    `import { basename } from 'node:path';
import { readFileSync } from 'fs';
import { double, Unit } from './packages/math.js';
import { double as same } from './packages/math.ts';
import data from './packages/data.json' with { type: 'json' };
import { place } from './packages/place.ts';
${task("run: () => [double(2), same(3), Unit.One, data.seven, JSON.parse(readFileSync(place, 'utf8')).seven, basename(import.meta.url)]")}`,
  );
  await queue.consumer({ TASKS_DIR: tasksDir });
  expect(await queue.result('helped')).toEqual({ state: 'SUCCESS', result: [4, 6, 1, 7, 7, 'helped.ts'] });
});

it('keeps ENABLED_TASKS and DISABLED_TASKS, of which ENABLED_TASKS wins, and warns of unknown names', async () => {
  for (const name of ['one', 'two', 'three']) write(`${name}.ts`, task('run: () => 1'));
  const consumer = await queue.consumer({ TASKS_DIR: tasksDir, ENABLED_TASKS: 'one, two,ghost', DISABLED_TASKS: 'one' });
  expect([...queue.registry.tasks.keys()]).toEqual(['one', 'two']);
  const warned = consumer.log.filter(({ event }) => event === 'tasks.warned').map(({ warning }) => warning);
  expect(warned).toEqual([expect.stringMatching(/ENABLED_TASKS names no known task: ghost; known: one, three, two/)]);
});

it('shows a changed or new task file after the consumer is started again', async () => {
  write('one.ts', task('run: () => 1'));
  const first = await queue.consumer({ TASKS_DIR: tasksDir });
  expect(await queue.result('one')).toMatchObject({ result: 1 });
  await first.stop();
  write('one.ts', task('run: () => 10'));
  write('two.ts', task('run: () => 2'));
  await queue.consumer({ TASKS_DIR: tasksDir });
  await queue.registry.refresh();
  expect(await queue.result('one')).toMatchObject({ result: 10 });
  expect(await queue.result('two')).toMatchObject({ result: 2 });
});
