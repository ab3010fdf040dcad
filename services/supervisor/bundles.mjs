/**
 * The last step of the build: each service becomes one file, packages included, because loading some hundred modules was most of what its start
 * took. Threads and child processes of tasks load the modules themselves.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ownMappings } from './own-mappings.mjs';

/** Services that PM2 starts. */
const SERVICES = ['api', 'consumer', 'janitor'];

/** Packages that find files of their own beside them (workers, templates, programs), and those that few processes ever load. */
const OUTSIDE = ['esbuild', 'formidable', 'koa-body', 'koa2-swagger-ui', 'msgpackr-extract', 'piscina', 'selfsigned', 'swagger-ui-dist'];

/** For the packages in CommonJS: an ES module has no `require`. */
const BANNER = "import { createRequire as requireOfBundle } from 'node:module';\nconst require = requireOfBundle(import.meta.url);";

/** Writes dist/services/<service>/bundle.js, beside the modules of the service. @throws Error of esbuild, whose message lists every fault */
export async function bundleServices(project) {
  // Not needed to start what is built.
  const { build } = await import('esbuild');
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
    writeFileSync(path, path.endsWith('.map') ? JSON.stringify(ownMappings(JSON.parse(text))) : text);
}
