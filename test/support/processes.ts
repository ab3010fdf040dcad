import { type ChildProcess, spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { projectDir } from '../../shared/config.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** One line of a service's log (pino JSON): its event's name and its fields. */
export interface LogLine {
  readonly event: string;
  readonly level: string;
  readonly [field: string]: unknown;
}

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export interface Launch {
  /** How messages call it; the command when left out. */
  name?: string;
  /** Added to PATH, HOME and LANG of this process; nothing else is inherited. */
  env?: Environment;
  cwd?: string;
}

interface Wanted {
  timeoutMs?: number;
  /** Which lines of that event count. */
  where?: (line: LogLine) => boolean;
  /** How many lines of the log to pass over: `log.length` taken earlier waits for a new one. */
  after?: number;
}

const started = new Set<TestProcess>();

/** A child process of a test, with everything that it printed. */
export class TestProcess {
  readonly name: string;
  readonly pid: number;
  /** Every line printed, on both streams, in order of arrival. */
  readonly output: string[] = [];
  /** The lines that are log events. */
  readonly log: LogLine[] = [];
  readonly exited: Promise<Exit>;
  #exit: Exit | undefined;
  readonly #child: ChildProcess;
  readonly #news = new EventEmitter().setMaxListeners(0);

  constructor(child: ChildProcess & { stdout: Readable; stderr: Readable; pid: number }, name: string) {
    this.name = name;
    this.pid = child.pid;
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', (line) => this.#take(line));
    this.exited = once(child, 'close').then(() => {
      this.#exit = { code: child.exitCode, signal: child.signalCode };
      started.delete(this);
      this.#news.emit('news');
      return this.#exit;
    });
    started.add(this);
  }

  get alive(): boolean {
    return this.#exit === undefined;
  }

  /** The first log line with this event's name, printed already or within the time. Fails at once when the process ends. */
  waitForEvent(event: string, { timeoutMs = 15_000, where = () => true, after = 0 }: Wanted = {}): Promise<LogLine> {
    const find = () => this.log.slice(after).find((line) => line.event === event && where(line));
    return this.#waitFor(find, `the event ${event}`, timeoutMs);
  }

  /** The first line of output that matches. */
  waitForOutput(pattern: RegExp, timeoutMs = 15_000, after = 0): Promise<string> {
    return this.#waitFor(() => this.output.slice(after).find((line) => pattern.test(line)), `output like ${pattern}`, timeoutMs);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Asks it to end and waits. @throws Error when it needs longer than `timeoutMs`; it is killed then. */
  async stop(timeoutMs = 15_000, signal: NodeJS.Signals = 'SIGTERM'): Promise<Exit> {
    if (!this.alive) return this.exited;
    this.signal(signal);
    const timer = setTimeout(() => this.signal('SIGKILL'), timeoutMs);
    const exit = await this.exited;
    clearTimeout(timer);
    if (exit.signal === 'SIGKILL') throw new Error(`${this.name} did not end within ${timeoutMs} ms of ${signal}\n${this.tail()}`);
    return exit;
  }

  /** `kill -9`, and waits until it is gone. */
  kill9(): Promise<Exit> {
    this.signal('SIGKILL');
    return this.exited;
  }

  /** The living processes of a program that this one started, at any remove. */
  descendants(program: string): number[] {
    return descendantsOf(this.pid)
      .filter(({ command }) => command === program)
      .map(({ pid }) => pid);
  }

  /** The last lines printed, for messages. */
  tail(lines = 30): string {
    return this.output.slice(-lines).join('\n');
  }

  #take(line: string): void {
    this.output.push(line);
    const event = asLogLine(line);
    if (event !== undefined) this.log.push(event);
    this.#news.emit('news');
  }

  #waitFor<T>(find: () => T | undefined, what: string, timeoutMs: number): Promise<T> {
    return new Promise((resolve, reject) => {
      const settle = (end: () => void) => {
        clearTimeout(timer);
        this.#news.off('news', look);
        end();
      };
      const fail = (why: string) => settle(() => reject(new Error(`${this.name} ${why} ${what}; its last lines:\n${this.tail()}`)));
      const look = () => {
        const found = find();
        if (found !== undefined) settle(() => resolve(found));
        else if (!this.alive) fail('ended before');
      };
      const timer = setTimeout(() => fail(`took more than ${timeoutMs} ms for`), timeoutMs);
      this.#news.on('news', look);
      look();
    });
  }
}

/** Starts a program of a test. @throws Error when it cannot be started */
export async function startProcess(
  command: string,
  args: readonly string[],
  { name = command, env = {}, cwd }: Launch = {},
): Promise<TestProcess> {
  const child = spawn(command, args, { cwd: cwd ?? projectDir, env: { ...inherited(), ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  await once(child, 'spawn');
  const { pid } = child;
  if (pid === undefined) throw new Error(`${name} has no pid after it was started`);
  return new TestProcess(Object.assign(child, { pid }), name);
}

/** Starts with plain Node what PM2 starts: the bundle of a service. One that is profiled runs its modules, so that a profile tells packages apart. */
export function startService(service: string, env: Environment, { name = service, ...launch }: Launch = {}): Promise<TestProcess> {
  const file = env['BENCH_PROFILE'] === undefined ? 'bundle.js' : 'main.js';
  const entry = join(projectDir, 'dist', 'services', service, file);
  return startProcess(process.execPath, ['--enable-source-maps', entry], { name, ...launch, env });
}

/** Runs a program to its end. Never throws for an exit code: the test looks at it. */
export async function run(
  command: string,
  args: readonly string[],
  launch: Launch & { timeoutMs?: number } = {},
): Promise<Exit & { output: string }> {
  const running = await startProcess(command, args, launch);
  const timer = setTimeout(() => running.signal('SIGKILL'), launch.timeoutMs ?? 60_000);
  const exit = await running.exited;
  clearTimeout(timer);
  return { ...exit, output: running.output.join('\n') };
}

/** What the kernel tells of a process' descendants. */
function descendantsOf(ancestor: number): { pid: number; command: string }[] {
  const processes = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const [, pid, command, , parent] = /^(\d+) \((.*)\) (\S) (\d+)/.exec(readFileSync(`/proc/${name}/stat`, 'utf8')) ?? [];
        return [{ pid: Number(pid), command: command ?? '', parent: Number(parent) }];
      } catch {
        return [];
      }
    });
  const below = (parent: number): typeof processes =>
    processes.filter((one) => one.parent === parent).flatMap((one) => [one, ...below(one.pid)]);
  return below(ancestor);
}

/** The processes of this test file that have not ended. */
export function living(): readonly TestProcess[] {
  return [...started];
}

/** What a program needs to run at all. Nothing of FastTask's own variables comes from the shell that runs the tests. */
function inherited(): Record<string, string> {
  const names = ['PATH', 'HOME', 'LANG', 'TMPDIR'];
  return Object.fromEntries(names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])));
}

function asLogLine(line: string): LogLine | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    const value: unknown = JSON.parse(line);
    return isLogLine(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isLogLine(value: unknown): value is LogLine {
  return typeof value === 'object' && value !== null && 'event' in value && typeof value.event === 'string';
}
