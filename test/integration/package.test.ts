import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { projectDir } from '../../shared/config.ts';
import { run } from '../support/processes.ts';
import { tempDir } from '../support/temp.ts';

const task = `import { defineTask, z } from 'fasttask';

export default defineTask({
  description: 'Area of a circle.',
  params: z.object({ radius: z.number().positive() }),
  result: z.object({ area: z.number() }),
  run: ({ radius }) => ({ area: Math.PI * radius ** 2 }),
});
`;

/** A project of a user: FastTask among its dependencies, one task. */
function project(): string {
  const dir = tempDir('project');
  mkdirSync(join(dir, 'node_modules'));
  symlinkSync(projectDir, join(dir, 'node_modules', 'fasttask'));
  writeFileSync(join(dir, 'package.json'), '{"type":"module"}');
  return dir;
}

it("resolves import { defineTask, z } from 'fasttask' outside this repository, at run time", async () => {
  const dir = project();
  writeFileSync(join(dir, 'area.js'), task);
  writeFileSync(join(dir, 'use.js'), "import area from './area.js';\nconsole.log(area.run({ radius: 1 }).area === Math.PI);\n");
  expect(await run(process.execPath, ['use.js'], { cwd: dir })).toMatchObject({ code: 0, output: 'true' });
});

it('gives a task file its types there, and refuses what does not fit its schemas', async () => {
  const dir = project();
  const compilerOptions = { strict: true, module: 'nodenext', target: 'es2023', noEmit: true, skipLibCheck: true, types: [] };
  writeFileSync(join(dir, 'tsconfig.json'), JSON.stringify({ compilerOptions }));
  const tsc = () => run(process.execPath, [join(projectDir, 'node_modules/typescript/bin/tsc')], { cwd: dir });
  writeFileSync(join(dir, 'area.ts'), task);
  expect(await tsc()).toMatchObject({ code: 0 });
  writeFileSync(join(dir, 'area.ts'), task.replace('area: Math.PI * radius ** 2', "area: 'large'"));
  expect((await tsc()).output).toMatch(/Type 'string' is not assignable to type 'number'/);
});

it('packs what a user needs and nothing of this repository’s tests', async () => {
  const { output } = await run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: projectDir });
  const [pack] = JSON.parse(output.slice(output.indexOf('['))) as [{ files: { path: string }[] }];
  const paths = pack.files.map(({ path }) => path);
  const { exports } = JSON.parse(readFileSync(join(projectDir, 'package.json'), 'utf8')) as { exports: { '.': Record<string, string> } };
  for (const path of [
    ...Object.values(exports['.']),
    'services/supervisor/bootstrap.mjs',
    'ecosystem.config.cjs',
    'LICENSE',
    'README.md',
  ]) {
    expect(paths).toContain(path.replace('./', ''));
  }
  expect(paths.filter((path) => /^(test|files|node_modules)\//.test(path))).toEqual([]);
});
