/**
 * Finds the task files, compiles each with its helpers into one module (TypeScript needs no build on any Node version), and
 * has a thread of its own tell what they declare. Beside the build the only module that knows esbuild.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { builtinModules } from 'node:module';
import { basename, dirname, extname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as esbuild from 'esbuild';
import { taskNamePattern } from '../../shared/config-validators.ts';
import { messageOf } from '../../shared/errors.ts';
import type { TaskDescriptor } from '../../shared/registry.ts';
import type { TaskOptions } from './task-options.ts';

/** A task that this consumer can run. */
export interface LoadedTask extends TaskDescriptor, TaskOptions {
  /** The compiled file, as a file: URL. */
  module: string;
}

/** A file that is not a task, and why. */
export interface TaskProblem {
  /** Relative to the tasks folder. */
  file: string;
  reason: string;
}

/** A compiled task file. */
export interface CompiledTask {
  name: string;
  file: string;
  module: string;
  digest: string;
}

const EXTENSIONS = ['.ts', '.mts', '.js', '.mjs'];

/** The task files of a folder: its top level only, tests and declarations left out. */
export async function findTaskFiles(tasksDir: string): Promise<{ files: Map<string, string>; problems: TaskProblem[] }> {
  const files = new Map<string, string>();
  const problems: TaskProblem[] = [];
  for (const entry of (await readdir(tasksDir)).sort()) {
    const extension = extname(entry);
    const name = basename(entry, extension);
    if (!EXTENSIONS.includes(extension) || /\.(d|test|spec)$/.test(name) || entry.startsWith('.')) continue;
    if (!(await stat(join(tasksDir, entry))).isFile()) continue;
    const other = files.get(name);
    if (!taskNamePattern.test(name)) {
      problems.push({
        file: entry,
        reason: `expected a file name of letters, digits and _ (not first a digit), at most 64, before ${extension}`,
      });
    } else if (other !== undefined) {
      problems.push({ file: entry, reason: `there is a ${other} already; a task has one file` });
    } else {
      files.set(name, entry);
    }
  }
  return { files, problems };
}

/** Compiles task files into `cacheDir`. A file that does not compile becomes a problem, the others go on. */
export async function compileTasks(tasksDir: string, files: ReadonlyMap<string, string>, cacheDir: string) {
  const tasks: CompiledTask[] = [];
  const problems: TaskProblem[] = [];
  await mkdir(cacheDir, { recursive: true });
  await Promise.all(
    [...files].map(async ([name, file]) => {
      try {
        tasks.push(await compileTask(tasksDir, name, file, cacheDir));
      } catch (error) {
        problems.push({ file, reason: compileReason(error) });
      }
    }),
  );
  await esbuild.stop();
  return { tasks: tasks.sort((a, b) => a.name.localeCompare(b.name)), problems };
}

async function compileTask(tasksDir: string, name: string, file: string, cacheDir: string): Promise<CompiledTask> {
  const { outputFiles, metafile } = await esbuild.build({
    entryPoints: [join(tasksDir, file)],
    outfile: join(cacheDir, `${name}.mjs`),
    absWorkingDir: tasksDir,
    bundle: true,
    write: false,
    metafile: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    sourcemap: 'inline',
    sourcesContent: false,
    keepNames: true,
    logLevel: 'silent',
    // A tsconfig.json beside the tasks is for the editor; its path aliases must not bundle FastTask itself.
    tsconfigRaw: {},
    plugins: [packagesStayOutside, ownPlaceInImportMeta],
  });
  const output = outputFiles[0];
  if (output === undefined) throw new Error('nothing was compiled');
  const module = join(cacheDir, `${name}.${createHash('sha256').update(output.contents).digest('hex').slice(0, 16)}.mjs`);
  // Written aside and moved: another consumer process may be loading the same file.
  const aside = `${module}.${process.pid}`;
  await writeFile(aside, output.contents);
  await rename(aside, module);
  return { name, file, module: pathToFileURL(module).href, digest: await digestOf(tasksDir, Object.keys(metafile.inputs)) };
}

/** A digest of the sources that is the same on every machine, wherever the tasks lie. */
async function digestOf(tasksDir: string, inputs: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const input of [...inputs].sort()) {
    hash.update(`${input}\0`).update(await readFile(join(tasksDir, input)));
  }
  return hash.digest('hex').slice(0, 32);
}

const fasttask = new URL(import.meta.url.endsWith('.ts') ? '../../dist/shared/fasttask.js' : '../../shared/fasttask.js', import.meta.url)
  .href;

/** Packages are not bundled but imported from where the task file finds them; `fasttask` is always this one. */
const packagesStayOutside: esbuild.Plugin = {
  name: 'packages-stay-outside',
  setup(build) {
    build.onResolve({ filter: /^[^./]/ }, async (args) => {
      if (args.kind === 'entry-point' || args.pluginData === 'resolved') return undefined;
      if (args.path === 'fasttask') return { path: fasttask, external: true };
      if (args.path.startsWith('node:') || builtinModules.includes(args.path)) return { path: args.path, external: true };
      const found = await build.resolve(args.path, {
        kind: args.kind,
        resolveDir: args.resolveDir,
        importer: args.importer,
        pluginData: 'resolved',
      });
      if (found.errors.length > 0) return { errors: found.errors };
      return { path: pathToFileURL(found.path).href, external: true };
    });
  },
};

/** `import.meta.url` and its kin say where the source lies, not where its compiled form does. */
const ownPlaceInImportMeta: esbuild.Plugin = {
  name: 'own-place-in-import-meta',
  setup(build) {
    build.onLoad({ filter: /\.m?[jt]s$/ }, async ({ path }) => {
      const source = await readFile(path, 'utf8');
      if (!source.includes('import.meta')) return undefined;
      const { code } = await esbuild.transform(source, {
        loader: extname(path).endsWith('ts') ? 'ts' : 'js',
        format: 'esm',
        target: 'node20',
        sourcefile: path,
        sourcemap: 'inline',
        sourcesContent: false,
        tsconfigRaw: {},
        define: {
          'import.meta.url': JSON.stringify(pathToFileURL(path).href),
          'import.meta.filename': JSON.stringify(path),
          'import.meta.dirname': JSON.stringify(dirname(path)),
        },
      });
      return { contents: code, loader: 'js', resolveDir: dirname(path) };
    });
  },
};

function compileReason(error: unknown): string {
  const errors = isBuildFailure(error) ? error.errors : [];
  if (errors.length === 0) return messageOf(error);
  return errors
    .map(({ text, location }) => (location === null ? text : `${location.file}:${location.line}:${location.column + 1}: ${text}`))
    .join('; ');
}

function isBuildFailure(error: unknown): error is esbuild.BuildFailure {
  return error instanceof Error && 'errors' in error && Array.isArray(error.errors);
}
