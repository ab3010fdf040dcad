import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { projectDir } from '../../shared/config.ts';

/** A small project with the real rules in which each file breaks one wall, or none. */
const files: Record<string, string> = {
  'services/api/face.ts': "import 'bullmq';",
  'services/consumer/lane.ts': "import 'bullmq';",
  'shared/jobs.ts': "import 'bullmq';",
  'shared/elsewhere.ts': "import 'bullmq';",
  'services/consumer/thread-pool.ts': "import 'piscina';",
  'services/consumer/second-pool.ts': "import 'piscina';",
  'services/janitor/settings.ts': "import 'envalid';",
  'services/consumer/web.ts': "import '@koa/router';",
  'services/api/compile.ts': "import 'esbuild';",
  'services/supervisor/pm2-inside.ts': "import 'pm2';",
  'services/api/neighbour.ts': "import '../consumer/lane.ts';",
  'services/consumer/server.ts': "import '../redis/find.ts';",
  'services/supervisor/start.ts': "import '../redis/find.ts';",
  'services/supervisor/reach.ts': "import '../consumer/lane.ts';",
  'services/redis/find.ts': 'export {};',
  'shared/upwards.ts': "import '../services/redis/find.ts';",
  'shared/fasttask.ts': 'export {};',
  'shared/tested.ts': "import '../test/fixture.ts';",
  'test/fixture.ts': 'export {};',
  'tasks/good.ts': "import 'fasttask';\nimport 'node:fs';\nimport './packages/helper.ts';",
  'tasks/packages/helper.ts': 'export {};',
  'tasks/inside.ts': "import '../shared/jobs.ts';",
  'services/api/eager.ts': "import '../../tasks/good.ts';",
  'shared/left.ts': "import './right.ts';",
  'shared/right.ts': "import './left.ts';",
  'shared/nowhere.ts': "import './missing.ts';",
  'shared/linted.ts': "import 'eslint';",
};

const expected = {
  'services/api/face.ts': ['only-bullmq-face'],
  'shared/elsewhere.ts': ['only-bullmq-face'],
  'services/consumer/second-pool.ts': ['only-piscina-face'],
  'services/janitor/settings.ts': ['only-envalid-face'],
  'services/consumer/web.ts': ['only-koa-router-face'],
  'services/api/compile.ts': ['only-esbuild-face'],
  'services/supervisor/pm2-inside.ts': ['pm2-is-a-program'],
  'services/api/neighbour.ts': ['services-apart'],
  'services/consumer/server.ts': ['services-apart'],
  'services/supervisor/reach.ts': ['supervisor-apart'],
  'shared/upwards.ts': ['shared-below-services'],
  'shared/tested.ts': ['no-test-code'],
  'tasks/inside.ts': ['tasks-see-fasttask-only'],
  'services/api/eager.ts': ['tasks-run-in-threads'],
  'shared/left.ts': ['no-cycle'],
  'shared/nowhere.ts': ['resolvable'],
  'shared/linted.ts': ['no-dev-dependency'],
};

const root = mkdtempSync(join(tmpdir(), 'ft-walls-'));
const packages = { dependencies: ['bullmq', 'piscina', 'envalid', '@koa/router', 'esbuild', 'pm2'], devDependencies: ['eslint'] };

beforeAll(() => {
  for (const [path, text] of Object.entries(files)) write(path, `${text}\n`);
  for (const name of Object.values(packages).flat()) {
    write(`node_modules/${name}/package.json`, JSON.stringify({ name, version: '1.0.0', main: 'index.js' }));
    write(`node_modules/${name}/index.js`, '');
  }
  const versions = Object.fromEntries(
    Object.entries(packages).map(([kind, names]) => [kind, Object.fromEntries(names.map((name) => [name, '1.0.0']))]),
  );
  write('package.json', JSON.stringify({ name: 'walls', version: '1.0.0', ...versions }));
  for (const name of ['tsconfig.json', '.dependency-cruiser.cjs']) copyFileSync(join(projectDir, name), join(root, name));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

function write(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

const report = z.object({
  summary: z.object({ violations: z.array(z.object({ from: z.string(), rule: z.object({ name: z.string() }) })) }),
});

test('every wall between modules stands, and what is allowed passes', () => {
  const program = join(projectDir, 'node_modules', 'dependency-cruiser', 'bin', 'dependency-cruise.mjs');
  const output = execFileSync(process.execPath, [program, '--output-type', 'json', 'services', 'shared', 'tasks', 'test'], {
    cwd: root,
    encoding: 'utf8',
  });
  const broken: Record<string, string[]> = {};
  for (const { from, rule } of report.parse(JSON.parse(output)).summary.violations) broken[from] = [...(broken[from] ?? []), rule.name];
  expect(broken).toEqual(expected);
}, 30_000);

/** What Biome holds: single names of a module, and globals. `undefined`: allowed there. */
const linted: [path: string, text: string, rule: string | undefined][] = [
  ['shared/redis.ts', "export const url = process.env['REDIS_URL'];", 'style/noProcessEnv'],
  ['services/api/app.ts', "export const url = process.env['REDIS_URL'];", 'style/noProcessEnv'],
  ['tasks/reader.ts', "export const url = process.env['REDIS_URL'];", 'style/noProcessEnv'],
  ['shared/config.ts', "export const url = process.env['REDIS_URL'];", undefined],
  ['services/consumer/lane.ts', "import { Queue } from 'bullmq';\nexport const lane = new Queue('a');", 'style/noRestrictedImports'],
  ['services/consumer/worker.ts', "import { Worker } from 'bullmq';\nexport const lane = new Worker('a');", undefined],
  ['shared/jobs.ts', "import { Worker } from 'bullmq';\nexport const jobs = new Worker('a');", 'style/noRestrictedImports'],
  ['shared/jobs-too.ts', "import { Queue } from 'bullmq';\nexport const jobs = new Queue('a');", undefined],
  ['services/api/loud.ts', "console.log('hello');", 'suspicious/noConsole'],
  ['services/supervisor/loud.ts', "console.log('hello');", undefined],
  ['shared/loose.ts', 'export const loose = (x: any) => x;', 'suspicious/noExplicitAny'],
];

test('Biome holds the walls that run through a module', () => {
  for (const [path, text] of linted) write(join('lint', path), `${text}\n`);
  copyFileSync(join(projectDir, 'biome.json'), join(root, 'lint', 'biome.json'));
  const biome = join(projectDir, 'node_modules', '@biomejs', 'biome', 'bin', 'biome');
  const { stdout } = spawnSync(process.execPath, [biome, 'lint', '--reporter=github', '--max-diagnostics=100', '.'], {
    cwd: join(root, 'lint'),
    encoding: 'utf8',
  });
  const found = Object.fromEntries(
    [...stdout.matchAll(/title=lint\/([^,]+),file=(?:.*\/lint\/)?([^,]+),/g)].map(([, rule, path]) => [path, rule]),
  );
  expect(found).toEqual(Object.fromEntries(linted.flatMap(([path, , rule]) => (rule === undefined ? [] : [[path, rule]]))));
});
