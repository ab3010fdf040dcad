/** What a job leaves behind in its thread: changed globals, forgotten timers, child processes. */
import { ChildProcess } from 'node:child_process';

/** Globals whose replacement counts as a change: what other tasks rely on most. */
const watched: readonly (() => unknown)[] = [
  () => globalThis.fetch,
  () => globalThis.setTimeout,
  () => globalThis.setInterval,
  () => globalThis.Promise,
  () => globalThis.Date,
  () => Date.now,
  () => Math.random,
  () => JSON.parse,
  () => JSON.stringify,
];

const prototypes: readonly object[] = [Object.prototype, Array.prototype, Function.prototype, String.prototype, Promise.prototype];

/** Notices what a job changed in its thread for those after it. */
export class ThreadTraces {
  #environmentChanged = false;
  #globals = 0;
  #prototypeKeys = 0;
  #values: unknown[] = [];
  #timers = 0;

  constructor() {
    // biome-ignore lint/style/noProcessEnv: not read for its values; what a task changes in it must not reach the next task
    process.env = watchedEnvironment(process.env, () => {
      this.#environmentChanged = true;
    });
    this.accept();
  }

  /** Takes the thread as it is: what a task file does while it is imported belongs to it. */
  accept(): void {
    this.#environmentChanged = false;
    this.#globals = Object.keys(globalThis).length;
    this.#prototypeKeys = prototypeKeys();
    this.#values = watched.map((read) => read());
    this.#timers = runningTimers();
  }

  /** Whether the thread differs from what was accepted, so that another job would not start as in a new one. */
  differ(): boolean {
    return (
      this.#environmentChanged ||
      runningTimers() > this.#timers ||
      Object.keys(globalThis).length !== this.#globals ||
      prototypeKeys() !== this.#prototypeKeys ||
      watched.some((read, index) => read() !== this.#values[index])
    );
  }
}

/** The same environment, which tells when something in it is changed. */
function watchedEnvironment(environment: NodeJS.ProcessEnv, onChange: () => void): NodeJS.ProcessEnv {
  return new Proxy(environment, {
    set(target, name, value) {
      onChange();
      return Reflect.set(target, name, value);
    },
    defineProperty(target, name, descriptor) {
      onChange();
      return Reflect.defineProperty(target, name, descriptor);
    },
    deleteProperty(target, name) {
      onChange();
      return Reflect.deleteProperty(target, name);
    },
  });
}

function prototypeKeys(): number {
  return prototypes.reduce((sum, prototype) => sum + Reflect.ownKeys(prototype).length, 0);
}

/** Timers that would keep a process alive. */
function runningTimers(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
}

/**
 * Tells of every child process that is started in this thread, and of its end.
 * @param owner whose it is, asked when it is started
 */
export function watchChildren<Owner>(owner: () => Owner | undefined, onChange: (owner: Owner, pid: number, alive: boolean) => void): void {
  const prototype: object = ChildProcess.prototype;
  if (!('spawn' in prototype) || typeof prototype.spawn !== 'function') return;
  const { spawn } = prototype;
  Object.assign(prototype, {
    spawn(this: ChildProcess, ...args: unknown[]): unknown {
      const outcome: unknown = spawn.apply(this, args);
      const { pid } = this;
      const whose = owner();
      if (pid !== undefined && whose !== undefined) {
        onChange(whose, pid, true);
        this.once('exit', () => onChange(whose, pid, false));
      }
      return outcome;
    },
  });
}
