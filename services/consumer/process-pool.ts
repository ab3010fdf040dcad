/** Runs jobs in child processes, one each: for tasks that ask for it, and for suspects. Their hard limit is a SIGKILL. */
import { type ChildProcess, fork } from 'node:child_process';
import type { PlaceOptions, Run, RunEnd, RunPlace } from './run.ts';
import type { Request } from './slots.ts';
import {
  type FetchAnswer,
  type FromProcess,
  isThreadMessage,
  type JobRequest,
  type ThreadOutcome,
  type ToProcess,
} from './thread-protocol.ts';

const processFile = new URL(import.meta.url.endsWith('.ts') ? './task-process.ts' : './task-process.js', import.meta.url);

export class ProcessPool implements RunPlace {
  readonly #options: PlaceOptions;
  readonly #running = new Set<IsolatedRun>();

  constructor(options: PlaceOptions) {
    this.#options = options;
  }

  run(request: Omit<JobRequest, 'slot'>): Run {
    const run = new IsolatedRun({ ...request, slot: 0 }, this.#options);
    this.#running.add(run);
    void run.end.then(() => this.#running.delete(run));
    return run;
  }

  async stop(): Promise<void> {
    for (const run of this.#running) run.kill();
    await Promise.all([...this.#running].map(({ end }) => end));
  }
}

class IsolatedRun implements Run {
  readonly end: Promise<RunEnd>;
  readonly left: Promise<void>;
  readonly #child: ChildProcess;
  #beganAt: number | undefined;

  constructor(request: JobRequest, { tasksDir, filesDir, remoteFiles, onMessage }: PlaceOptions) {
    this.#child = fork(processFile, {
      // A group of its own, so that what the task starts can be ended with it.
      detached: true,
      execArgv: request.memoryLimit === undefined ? [] : [`--max-old-space-size=${request.memoryLimit}`],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    let outcome: ThreadOutcome | undefined;
    this.#child.on('message', (message: FromProcess | null) => {
      // A task can send what it likes.
      if (message === null || typeof message !== 'object') return;
      if (message.type === 'begin') this.#beganAt = performance.now();
      else if (message.type === 'outcome') outcome = isOutcome(message.outcome) ? message.outcome : undefined;
      else if (isThreadMessage(message)) onMessage(message);
    });
    this.#send({ type: 'run', request, tasksDir, filesDir, remoteFiles });
    this.end = new Promise((resolve) => {
      this.#child.once('error', ({ message }) => resolve({ ended: message }));
      this.#child.once('exit', (code, signal) => {
        // The leader is gone, its group may not be.
        this.kill();
        resolve(outcome ?? { ended: signal === null ? `exit code ${code}` : `signal ${signal}` });
      });
    });
    this.left = this.end.then(() => {});
  }

  elapsedMs(): number | undefined {
    return this.#beganAt === undefined ? undefined : performance.now() - this.#beganAt;
  }

  request(request: Request): void {
    this.#send({ type: 'request', request });
  }

  answer(fetched: FetchAnswer): void {
    this.#send({ type: 'fetched', fetched });
  }

  terminate(): boolean {
    this.kill();
    return true;
  }

  /** The start of its process is most of what a short one takes. */
  tookMs(): undefined {
    return undefined;
  }

  recall(): boolean {
    return false;
  }

  /** Ends the process and whatever it has started. */
  kill(): void {
    const { pid } = this.#child;
    if (pid === undefined) return;
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // Nobody of the group is left.
    }
  }

  #send(message: ToProcess): void {
    if (this.#child.connected) this.#child.send(message, () => {});
  }
}

/** Whether what came as an outcome is one: the task could have sent it. */
function isOutcome(value: unknown): value is ThreadOutcome {
  if (typeof value !== 'object' || value === null) return false;
  if ('error' in value)
    return typeof value.error === 'object' && value.error !== null && 'text' in value.error && typeof value.error.text === 'string';
  if (!('json' in value) || typeof value.json !== 'string') return false;
  if ('files' in value && !(Array.isArray(value.files) && value.files.every((name) => typeof name === 'string'))) return false;
  try {
    JSON.parse(value.json);
    return true;
  } catch {
    return false;
  }
}
