/** The /redoc page: the only module that knows ReDoc. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { projectDir } from '../../shared/config.ts';
import { type Page, pagePolicy } from './assets.ts';

const SCRIPT = 'redoc.standalone.js';

/** Where the build has put the script, then where npm has. */
const places = [fileURLToPath(new URL(`assets/${SCRIPT}`, import.meta.url)), join(projectDir, 'node_modules', 'redoc', 'bundles', SCRIPT)];

/** The script shows a logo from elsewhere in its footer. */
const LOGO = 'https://cdn.redoc.ly/redoc/logo-mini.svg';
const EMPTY_IMAGE = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'/%3E";

const init = `Redoc.init('/openapi.json', { hideHostname: true }, document.getElementById('redoc'));\n`;

/** Where the script lies. @throws Error that names the places where it was looked for */
export function findRedoc(): string {
  const place = places.find((path) => existsSync(path));
  if (place === undefined) throw new Error(`expected ${SCRIPT} at ${places.join(' or ')}`);
  return place;
}

/** The page around the script that lies at `place`. */
export function loadRedoc(place: string): Page {
  const script = Buffer.from(readFileSync(place, 'utf8').replaceAll(LOGO, EMPTY_IMAGE));
  const version = createHash('sha256').update(script).update(init).digest('hex').slice(0, 16);
  const type = 'text/javascript; charset=utf-8';
  const files = new Map([
    [SCRIPT, { type, content: () => script }],
    ['init.js', { type, content: () => Buffer.from(init) }],
  ]);
  const base = `/redoc/assets/${version}`;
  const html = `<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>FastTask</title>
  <link rel="icon" href="data:,">
  <style>body { margin: 0; }</style>
</head>
<body>
  <div id="redoc"></div>
  <script src="${base}/${SCRIPT}"></script>
  <script src="${base}/init.js"></script>
</body>
</html>
`;
  // ReDoc searches in a Web Worker made from a blob, and styles itself by style elements.
  const policy = pagePolicy({
    'script-src': "'self'",
    'style-src': "'self' 'unsafe-inline'",
    'img-src': "'self' data:",
    'font-src': "'self' data:",
    'worker-src': 'blob:',
  });
  return { version, files, html, policy };
}
