/** What a running task is given: its side of limits, progress and log. */
import { interruptible } from '../../shared/interruptible.ts';
import type { TaskContext, TaskFiles, TaskLog } from '../../shared/task.ts';
import { Revoked, SoftTimeLimitExceeded } from '../../shared/task-errors.ts';
import { LatestOnly } from './latest-only.ts';
import { LineBuffer } from './line-buffer.ts';
import { Request } from './slots.ts';
import type { JobRequest, LogLevel, OutputLine, ThreadMessage } from './thread-protocol.ts';

/** Shortest pause between two progress messages of a job, in milliseconds. */
const PROGRESS_PAUSE_MS = 100;

/** Where a context reads what is asked of its job; must cost nanoseconds. */
export type RequestSource = () => number;

/** The context of one job, with the handles that its wrapper needs. */
export class JobContext implements TaskContext {
  readonly id: string;
  readonly task: string;
  readonly attempt: number;
  readonly signal: AbortSignal;
  readonly log: TaskLog;
  readonly files: TaskFiles;
  readonly #softSeconds: number;
  readonly #startedAt = performance.now();
  readonly #abort: AbortController;
  readonly #requested: RequestSource;
  readonly #progress: LatestOnly;
  readonly #lines: LineBuffer;

  /** @param own the job's files, and what ends the waits of both */
  constructor(
    request: JobRequest,
    own: { files: TaskFiles; abort: AbortController },
    requested: RequestSource,
    send: (message: ThreadMessage) => void,
  ) {
    this.id = request.id;
    this.task = request.task;
    this.attempt = request.attempt;
    this.files = own.files;
    this.#abort = own.abort;
    this.signal = this.#abort.signal;
    this.#lines = new LineBuffer((lines, dropped) => send({ type: 'lines', id: request.id, task: request.task, lines, dropped }));
    this.log = taskLog((line) => this.print(line));
    this.#softSeconds = request.softSeconds;
    this.#requested = requested;
    this.#progress = new LatestOnly(PROGRESS_PAUSE_MS, (value) => send({ type: 'progress', id: request.id, value }));
  }

  check(): void {
    const request = this.#requested();
    if (request !== Request.none) throw this.stop(request);
  }

  guard<T>(work: () => T): T {
    this.check();
    const leftMs = this.#softSeconds * 1000 - (performance.now() - this.#startedAt);
    if (leftMs < 1) throw this.stop(Request.softStop);
    return interruptible(work, leftMs, () => this.stop(Request.softStop));
  }

  progress(value: unknown): void {
    // A copy, and one that JSON carries: the value may change after the call.
    this.#progress.offer(JSON.parse(JSON.stringify(value ?? null)));
  }

  /** Aborts the signal, unless it is already. @returns its reason */
  stop(request: number): unknown {
    if (!this.signal.aborted) this.#abort.abort(request === Request.revoke ? new Revoked() : new SoftTimeLimitExceeded(this.#softSeconds));
    return this.signal.reason;
  }

  /** The signal's reason when an error comes from it: the reason itself, or what Node's own functions wrap it in. */
  stopReason(thrown: unknown): unknown {
    if (!this.signal.aborted || !(thrown instanceof Error)) return undefined;
    const fromSignal = thrown === this.signal.reason || thrown.cause === this.signal.reason || thrown.name === 'AbortError';
    return fromSignal ? this.signal.reason : undefined;
  }

  /** Takes a line that the job printed or logged. */
  print(line: OutputLine): void {
    this.#lines.add(line);
  }

  /** Sends what is still held back. */
  end(): void {
    this.#progress.flush();
    this.#lines.flush();
  }
}

function taskLog(print: (line: OutputLine) => void): TaskLog {
  const at =
    (level: LogLevel) =>
    (message: string, fields?: Record<string, unknown>): void => {
      // A copy, and one that JSON carries: the fields may change after the call.
      print({ level, message: String(message), ...(fields === undefined ? {} : { fields: JSON.parse(JSON.stringify(fields)) }) });
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}
