/** What a running task is given: the thread's side of limits, progress and log. */
import type { TaskContext, TaskLog } from '../../shared/task.ts';
import { SoftTimeLimitExceeded } from '../../shared/task-errors.ts';
import { REQUEST_NONE, type Slots } from './slots.ts';
import type { JobRequest, LogLevel, ThreadMessage } from './thread-protocol.ts';

/** Shortest pause between two progress messages of a job, in milliseconds. */
const PROGRESS_PAUSE_MS = 100;

type Send = (message: ThreadMessage) => void;

/** The context of one job, with the handles that its wrapper needs. */
export class JobContext implements TaskContext {
  readonly id: string;
  readonly task: string;
  readonly attempt: number;
  readonly signal: AbortSignal;
  readonly log: TaskLog;
  /** The one error of this job's soft limit: the signal's reason and what `check()` throws. */
  readonly softError: SoftTimeLimitExceeded;
  readonly #abort = new AbortController();
  readonly #slots: Slots;
  readonly #slot: number;
  readonly #progress: LatestOnly;

  constructor(request: JobRequest, slots: Slots, send: Send) {
    this.id = request.id;
    this.task = request.task;
    this.attempt = request.attempt;
    this.signal = this.#abort.signal;
    this.log = taskLog(request, send);
    this.softError = new SoftTimeLimitExceeded(request.softSeconds);
    this.#slots = slots;
    this.#slot = request.slot;
    this.#progress = new LatestOnly(PROGRESS_PAUSE_MS, (value) => send({ type: 'progress', id: request.id, value }));
  }

  check(): void {
    if (this.#slots.requested(this.#slot) !== REQUEST_NONE) throw this.softError;
  }

  progress(value: unknown): void {
    // A copy, and one that JSON carries: the value may change after the call.
    this.#progress.offer(JSON.parse(JSON.stringify(value ?? null)));
  }

  /** The consumer asks the job to stop. */
  softStop(): void {
    this.#abort.abort(this.softError);
  }

  /** Whether an error is this job's soft limit, directly or as the cause that Node's own functions wrap it in. */
  isSoftLimit(thrown: unknown): boolean {
    if (thrown === this.softError) return true;
    return this.signal.aborted && thrown instanceof Error && (thrown.cause === this.softError || thrown.name === 'AbortError');
  }

  /** Sends what is still held back. */
  end(): void {
    this.#progress.flush();
  }
}

function taskLog(request: JobRequest, send: Send): TaskLog {
  const at =
    (level: LogLevel) =>
    (message: string, fields: Record<string, unknown> = {}): void => {
      send({ type: 'log', id: request.id, task: request.task, level, message: String(message), fields: JSON.parse(JSON.stringify(fields)) });
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

/** Passes on the latest of many values, one per pause; the last one is never lost. */
class LatestOnly {
  readonly #pauseMs: number;
  readonly #pass: (value: unknown) => void;
  #held: { value: unknown } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #passedAt = Number.NEGATIVE_INFINITY;

  constructor(pauseMs: number, pass: (value: unknown) => void) {
    this.#pauseMs = pauseMs;
    this.#pass = pass;
  }

  offer(value: unknown): void {
    this.#held = { value };
    const waitMs = this.#passedAt + this.#pauseMs - performance.now();
    // A synchronous loop gives the timer no turn, so a value whose pause is over goes out at once.
    if (waitMs <= 0) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), waitMs);
  }

  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#held === undefined) return;
    const { value } = this.#held;
    this.#held = undefined;
    this.#passedAt = performance.now();
    this.#pass(value);
  }
}
