/** The commands behind `npm start`, `npm stop` and the others; bootstrap.mjs has installed and built before. */
import { type Environment, loadConfig, projectDir } from '../../shared/config.ts';
import { FastTaskError } from '../../shared/errors.ts';
import type { Installation } from './installation.ts';
import { Pm2, SupervisorError } from './pm2.ts';
import { reload } from './reload.ts';
import { start } from './start.ts';
import { status } from './status.ts';
import { stop } from './stop.ts';

type Command = (node: Installation, args: readonly string[]) => Promise<number | undefined> | Promise<void>;

/** What every start needs is imported above, the rest with its command. */
const commands: Record<string, Command> = {
  start,
  stop,
  status,
  reload,
  dev: async (node) => (await import('./dev.ts')).dev(node),
  user: async (node, args) => (await import('./user.ts')).user(node, args),
  backup: async (node, args) => (await import('./backup.ts')).backup(node, args),
  logs: async ({ pm2, say }, args) => {
    if (await pm2.isRunning()) return pm2.attach(['logs', ...args]);
    say('not running: `npm start` starts it');
    return 1;
  },
  pm2: async ({ pm2 }, args) => {
    const ranBefore = await pm2.isRunning();
    const code = await pm2.attach(args);
    // Even `ls` starts PM2's daemon; one without apps is not left behind.
    if (!ranBefore && (await pm2.list()).length === 0 && (await pm2.isRunning())) await pm2.run('kill');
    return code;
  },
};

/** Runs one command and gives its exit code; `signal` is aborted by Ctrl-C. A node without NODE_TYPE is a single_node here, and only here. */
export async function run(command: string, args: readonly string[], environment: Environment, signal: AbortSignal): Promise<number> {
  const say = (line: string) => void process.stdout.write(`${line}\n`);
  // Whoever reads the output may stop reading (`npm start | head`); that is no reason to stop in the middle.
  process.stdout.on('error', () => {});
  try {
    const given = { ...environment, NODE_TYPE: environment['NODE_TYPE'] || 'single_node' };
    const config = loadConfig(given);
    const pm2 = new Pm2(config.pm2Home, projectDir, environment);
    const action = commands[command];
    if (action === undefined) throw new SupervisorError(`unknown command ${command}: expected ${Object.keys(commands).join(', ')}`);
    return (await action({ config, environment: given, pm2, say, signal }, args)) ?? 0;
  } catch (error) {
    if (!(error instanceof FastTaskError) && !isSystemError(error)) throw error;
    process.stderr.write(`${error.message}\n`);
    return signal.aborted ? 130 : 1;
  }
}

/** A folder that cannot be written, a full disk and the like: the system's message says which and why. */
function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error;
}
