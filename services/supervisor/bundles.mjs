/**
 * The last step of the build: each service becomes one file, packages included, because loading some hundred modules was most of what its start
 * took. Threads and child processes of tasks load the modules themselves.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Services that PM2 starts. */
const SERVICES = ['api', 'consumer', 'janitor'];

/** Packages that find files of their own beside them (workers, templates, programs), and those that few processes ever load. */
const OUTSIDE = ['esbuild', 'formidable', 'koa-body', 'koa2-swagger-ui', 'msgpackr-extract', 'piscina', 'selfsigned', 'swagger-ui-dist'];

/** For the packages in CommonJS: an ES module has no `require`. */
const BANNER = "import { createRequire as requireOfBundle } from 'node:module';\nconst require = requireOfBundle(import.meta.url);";

/** Writes dist/services/<service>/bundle.js, beside the modules of the service. @throws Error of esbuild, whose message lists every fault */
export async function bundleServices(project) {
  // Not needed to start what is built, and on a fresh clone not there before.
  const [{ build }, codec] = await Promise.all([import('esbuild'), import('@jridgewell/sourcemap-codec')]);
  const { outputFiles } = await build({
    absWorkingDir: project,
    entryPoints: SERVICES.map((name) => ({ in: join('services', name, 'main.ts'), out: join(name, 'bundle') })),
    outdir: join('dist', 'services'),
    bundle: true,
    write: false,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    external: OUTSIDE,
    banner: { js: BANNER },
    // Comments would stay in memory, and letters beyond ASCII in one of them double the size of the whole text. Lines are kept short enough to be read.
    minifyWhitespace: true,
    lineLimit: 160,
    sourcemap: 'linked',
    sourcesContent: false,
    logLevel: 'silent',
  });
  for (const { path, text } of outputFiles)
    writeFileSync(path, path.endsWith('.map') ? JSON.stringify(ownMappings(JSON.parse(text), codec)) : text);
}

/**
 * Takes the packages out of a source map. Stacks name our own sources by it, and a package by its place in the bundle: a process keeps each mapping
 * from its first stack on, of which there are 20 times as many in packages as in what is ours.
 */
function ownMappings({ sources, mappings, ...map }, { decode, encode }) {
  const own = sources.map((source) => !source.includes('node_modules/'));
  let mapped = false;
  const lines = decode(mappings).map((line) =>
    line.flatMap((segment) => {
      const keeps = segment.length > 1 && own[segment[1]];
      // Where a package begins, one segment without a place ends what is ours.
      if (!keeps && !mapped) return [];
      mapped = keeps;
      return [segment.slice(0, keeps ? 4 : 1)];
    }),
  );
  return { ...map, sources: sources.map((source, index) => (own[index] ? source : '')), names: [], mappings: encode(lines) };
}
