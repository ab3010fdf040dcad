import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Environment } from '../../shared/config.ts';
import { FastTaskError } from '../../shared/errors.ts';
import { systemVariables } from './apps.ts';

/** A start, stop or reload that did not work; the message is for the person who typed it. */
export class SupervisorError extends FastTaskError {
  constructor(message: string) {
    super('supervisor_failed', 500, message);
  }
}

/** One process as PM2 lists it. */
export interface ListedProcess {
  name: string;
  /** 0 while it does not run. */
  pid: number;
  status: string;
  restarts: number;
  /** A variable that it was started with. */
  variable: (name: string) => string;
}

/** The longest path of a Unix socket, in bytes: Linux has 108 with the closing zero, macOS 104. */
const SOCKET_PATH_BYTES = 103;

/** PM2 as a program, for one PM2_HOME. Its daemon gets nothing from the caller's environment but what programs expect. */
export class Pm2 {
  readonly home: string;
  readonly #program: string;
  readonly #env: Record<string, string>;

  constructor(home: string, projectDir: string, environment: Environment) {
    this.home = home;
    this.#program = join(projectDir, 'node_modules/pm2/bin/pm2');
    const terminal = Object.fromEntries(
      ['TERM', 'COLORTERM', 'NO_COLOR'].flatMap((name) => (environment[name] ? [[name, environment[name]]] : [])),
    );
    this.#env = { ...systemVariables(environment), ...terminal, PM2_HOME: home, PM2_DISCRETE_MODE: '1', PM2_DISABLE_VERSION_CHECK: '1' };
  }

  /** @throws SupervisorError when PM2 cannot work here */
  check(): void {
    if (!existsSync(this.#program)) throw new SupervisorError('PM2 is not installed: run `npm ci --include=optional`');
    const socket = join(this.home, 'interactor.sock');
    if (Buffer.byteLength(socket) > SOCKET_PATH_BYTES) {
      throw new SupervisorError(
        `PM2_HOME is too long for PM2's sockets (${Buffer.byteLength(socket)} bytes, at most ${SOCKET_PATH_BYTES}): set PM2_HOME to a shorter folder than ${this.home}`,
      );
    }
  }

  /** Whether its daemon runs. Asking PM2 itself would start one. */
  isRunning(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = connect(join(this.home, 'rpc.sock'));
      socket.once('connect', () => {
        socket.destroy();
        resolve(true);
      });
      socket.once('error', () => resolve(false));
    });
  }

  /**
   * Runs one command and returns what it printed.
   * @throws SupervisorError with PM2's last lines when it fails
   */
  async run(...args: string[]): Promise<string> {
    // In a process group of its own: Ctrl-C in the middle would leave a daemon that nobody knows of yet.
    const child = spawn(process.execPath, [this.#program, ...args], { env: this.#env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    let output = '';
    let errors = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      errors += chunk;
    });
    const code = await exitCodeOf(child);
    if (code !== 0) throw new SupervisorError(`pm2 ${args[0]} failed (exit code ${code}):\n${lastLines(errors + output, 8)}`);
    return output;
  }

  /** Runs one command on this terminal; gives its exit code. */
  attach(args: readonly string[]): Promise<number> {
    // Ctrl-C reaches PM2 as well, which ends at it.
    return exitCodeOf(spawn(process.execPath, [this.#program, ...args], { env: this.#env, stdio: 'inherit' }));
  }

  /** Its processes; none while the daemon does not run. */
  async list(): Promise<ListedProcess[]> {
    if (!(await this.isRunning())) return [];
    const output = await this.run('jlist');
    const list: unknown = JSON.parse(output.slice(output.indexOf('[')));
    return Array.isArray(list) ? list.map(listedProcess) : [];
  }
}

/**
 * Stops an app of which a process waits for a delayed restart: told to restart or reload it then, PM2 (7.0) refuses, because it takes the dead
 * process for one that runs.
 * @returns whether it was stopped
 */
export async function settle(pm2: Pm2, name: string, running: readonly ListedProcess[]): Promise<boolean> {
  if (!running.some((item) => item.name === name && item.status === 'waiting restart')) return false;
  await pm2.run('stop', name);
  return true;
}

function listedProcess(item: unknown): ListedProcess {
  const env = field(item, 'pm2_env');
  return {
    name: String(field(item, 'name')),
    pid: Number(field(item, 'pid') ?? 0),
    status: String(field(env, 'status')),
    restarts: Number(field(env, 'restart_time') ?? 0),
    variable: (name) => String(field(field(env, 'env'), name) ?? ''),
  };
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Object.entries(value).find(([key]) => key === name)?.[1] : undefined;
}

/** The end of a text, without empty lines. */
export function lastLines(text: string, count: number): string {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines.slice(-count).join('\n');
}

function exitCodeOf(child: ReturnType<typeof spawn>): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 1));
  });
}
