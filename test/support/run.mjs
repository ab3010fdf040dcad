// Runs a TypeScript program of test/ on any Node version: `node test/support/run.mjs test/bench/limits.ts [args…]`.
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { build } from 'esbuild';

const [program, ...args] = process.argv.slice(2);
if (program === undefined) throw new Error('expected a TypeScript file to run');
// Inside the project, so that packages and the project's own folder are found from it.
const folder = join('node_modules', '.cache', 'fasttask', 'programs');
mkdirSync(folder, { recursive: true });
const outfile = join(folder, `${basename(program, '.ts')}.${process.pid}.mjs`);
await build({
  entryPoints: [program],
  outfile,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  packages: 'external',
  sourcemap: 'inline',
  logLevel: 'error',
});
const child = spawn(process.execPath, ['--enable-source-maps', outfile, ...args], { stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => process.exit(signal === null ? code : 1));
