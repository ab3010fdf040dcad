/**
 * The first step of every npm script, in plain JavaScript: a fresh clone has neither node_modules nor dist. It installs and
 * builds when that is needed, and hands over to dist/services/supervisor/main.js.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { bundleServices } from './bundles.mjs';

const OLDEST_NODE = [20, 19];
const project = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const inProject = (...names) => join(project, ...names);
const installMark = inProject('node_modules/.fasttask-installed');
const buildMark = inProject('dist/.fasttask-built');
const lockFolder = inProject('.tmp/bootstrap.lock');

/** Of `npm run check`, in the order in which a fault is cheapest to find. `.ci/run` names the same, and runs them side by side. */
const CHECKS = ['lint', 'types', 'deadcode', 'walls'];

/** Commands that change what runs: one at a time in a clone. */
const EXCLUSIVE = ['start', 'stop', 'reload'];

/** What the person is told instead of a stack. */
class Fault extends Error {}

const say = (line) => process.stdout.write(`${line}\n`);

checkNode();
try {
  process.exitCode = await main(process.argv[2] ?? '', process.argv.slice(3));
} catch (error) {
  if (!(error instanceof Fault) && error.syscall === undefined) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}

async function main(command, args) {
  const release = await lock();
  // Ctrl-C ends the npm or tsc that runs below; this process must outlive it to tidy up.
  const interruption = new AbortController();
  const interrupt = () => interruption.abort(new Fault('interrupted'));
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt);
  try {
    await install();
    await build();
    // Lets a signal that came in the meantime be seen.
    await delay(0);
    interruption.signal.throwIfAborted();
    if (EXCLUSIVE.includes(command)) return await handOver(command, args, interruption.signal);
  } finally {
    release();
  }
  switch (command) {
    case 'build':
      return 0;
    case 'test':
      return test(args);
    case 'check':
      return check(args);
    default:
      return handOver(command, args, interruption.signal);
  }
}

async function handOver(command, args, signal) {
  const { run } = await import(built('services/supervisor/main.js'));
  return run(command, args, process.env, signal);
}

function built(file) {
  return pathToFileURL(inProject('dist', file)).href;
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1])) return;
  process.stderr.write(`FastTask needs Node.js ${OLDEST_NODE.join('.')} or newer, this is ${process.versions.node}\n`);
  process.exit(1);
}

// --- install

async function install() {
  const lockText = readFileSync(inProject('package-lock.json'), 'utf8');
  const digest = digestOf(lockText);
  if (textOf(installMark) === digest) return;
  if (!isInstalled(JSON.parse(lockText))) {
    checkWritable();
    // Not `npm ci`: it removes the modules that a running installation uses, and refuses a lockfile that was written where
    // packages for other platforms could not be seen. The locked versions hold either way, and the lockfile stays as it is.
    const args = ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error'];
    await timed('installing dependencies (npm install)', () => npm(args, { quiet: true }));
  }
  writeFileSync(installMark, digest);
}

/** Whether what lies in node_modules is what the lockfile asks for: somebody may have run `npm ci` by hand. */
function isInstalled({ packages }) {
  const text = textOf(inProject('node_modules/.package-lock.json'));
  if (text === undefined) return false;
  const present = JSON.parse(text).packages;
  const wanted = Object.entries(packages).filter(
    ([path, { dev, optional, devOptional, peer }]) => path !== '' && !dev && !optional && !devOptional && !peer,
  );
  const complete = wanted.every(([path, { version }]) => present[path]?.version === version);
  return complete && (existsSync(compiler()) || isBuilt());
}

/** Runs npm with the program that called this script, if one did. */
function npm(args, { quiet = false } = {}) {
  const program = process.env.npm_execpath;
  const [command, ...first] = program?.endsWith('.js') ? [process.execPath, program] : ['npm'];
  const result = spawnSync(command, [...first, ...args], {
    cwd: project,
    encoding: 'utf8',
    stdio: quiet ? ['ignore', 'pipe', 'pipe'] : 'inherit',
  });
  if (result.error !== undefined) throw new Fault(`npm cannot be run (${result.error.code}): install npm, which comes with Node.js`);
  if (result.signal !== null) throw new Fault(`npm ${args.join(' ')} was interrupted`);
  if (result.status === 0) return;
  if (!quiet) throw new Fault(`npm ${args.join(' ')} failed`);
  throw new Fault(`npm ${args[0]} failed:\n${result.stderr.trim().split('\n').slice(0, 4).join('\n')}`);
}

// --- build

async function build() {
  if (isBuilt()) return;
  checkWritable();
  const digest = sourceDigest();
  await timed('building', compile);
  writeFileSync(buildMark, digest);
}

function isBuilt() {
  return textOf(buildMark) === sourceDigest();
}

function compiler() {
  return inProject('node_modules/typescript/bin/tsc');
}

async function compile() {
  if (!existsSync(compiler())) throw new Fault('TypeScript is not installed, and dist/ is not up to date: run `npm ci` without --omit=dev');
  const result = spawnSync(process.execPath, [compiler(), '-p', 'tsconfig.build.json'], { cwd: project, encoding: 'utf8' });
  if (result.signal !== null) throw new Fault('interrupted while building');
  if (result.status !== 0) throw new Fault(`the build failed:\n${result.stdout.trim()}`);
  const from = inProject('node_modules/redoc/bundles');
  const to = inProject('dist/services/api/assets');
  mkdirSync(to, { recursive: true });
  for (const name of readdirSync(from).filter((file) => file.startsWith('redoc.standalone.js') && !file.endsWith('.map')))
    cpSync(join(from, name), join(to, name));
  await bundleServices(project);
}

function sourceDigest() {
  const files = ['services', 'shared'].flatMap((name) => filesUnder(inProject(name))).filter((file) => /\.(ts|mjs)$/.test(file));
  const all = [...files, ...['tsconfig.json', 'tsconfig.build.json', 'package-lock.json'].map((name) => inProject(name))];
  return digestOf(...all.sort().flatMap((file) => [relative(project, file), readFileSync(file)]));
}

function filesUnder(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? filesUnder(path) : [path];
  });
}

// --- test and check

async function test(args) {
  const { ensureRedis } = await import(built('services/redis/ensure.js'));
  try {
    await ensureRedis({ dir: inProject('node_modules/.cache/fasttask/redis'), log: say });
  } catch (error) {
    throw new Fault(error.message);
  }
  const { status } = spawnSync(process.execPath, [inProject('node_modules/vitest/vitest.mjs'), 'run', ...args], {
    cwd: project,
    stdio: 'inherit',
  });
  return status ?? 1;
}

async function check(args) {
  for (const name of CHECKS) await timed(name, () => npm(['run', '--silent', name]));
  return test(args);
}

// --- what the steps share

async function timed(what, step) {
  const from = performance.now();
  say(`${what} …`);
  await step();
  say(`${what}: ${((performance.now() - from) / 1000).toFixed(1)} s`);
}

function textOf(file) {
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}

function digestOf(...parts) {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part).update('\0');
  return hash.digest('hex');
}

function checkWritable() {
  try {
    accessSync(project, constants.W_OK);
  } catch {
    throw new Fault(`${project} cannot be written by this user: expected a folder in which dependencies can be installed and built`);
  }
}

/**
 * Two commands at once in one clone would install over each other: the second waits. A folder is made or it is there, in
 * one step. In a project that cannot be written there is nothing to protect.
 */
async function lock() {
  let told = false;
  for (;;) {
    try {
      mkdirSync(dirname(lockFolder), { recursive: true });
      mkdirSync(lockFolder);
      writeFileSync(join(lockFolder, 'pid'), String(process.pid));
      return () => rmSync(lockFolder, { recursive: true, force: true });
    } catch (error) {
      if (error.code !== 'EEXIST') return () => {};
    }
    const holder = Number(textOf(join(lockFolder, 'pid')));
    if (holder > 0 && !isAlive(holder)) rmSync(lockFolder, { recursive: true, force: true });
    else if (!told) say(`waiting for another command in this clone (pid ${holder || 'unknown'}, ${lockFolder})`);
    told = true;
    await delay(100);
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}
