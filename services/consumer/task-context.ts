/** What a running task is given: its side of limits, progress and log. */
import { interruptible } from '../../shared/interruptible.ts';
import type { TaskContext, TaskFiles, TaskLog } from '../../shared/task.ts';
import { Revoked, SoftTimeLimitExceeded } from '../../shared/task-errors.ts';
import { JobFiles } from './job-files.ts';
import { LatestOnly } from './latest-only.ts';
import { LineBuffer } from './line-buffer.ts';
import { Request } from './slots.ts';
import type { FetchAnswer, JobRequest, LogLevel, OutputLine, ThreadMessage, ThreadOutcome, ThreadSettings } from './thread-protocol.ts';

/** Shortest pause between two progress messages of a job, in milliseconds. */
const PROGRESS_PAUSE_MS = 100;

/** Where a context reads what is asked of its job; must cost nanoseconds. */
export type RequestSource = () => number;

/** The context of one job, with the handles that its wrapper needs. What few jobs use is made when it is first asked for. */
export class JobContext implements TaskContext {
  readonly id: string;
  readonly task: string;
  readonly attempt: number;
  readonly #request: JobRequest;
  readonly #folder: Pick<ThreadSettings, 'filesDir' | 'remoteFiles'>;
  readonly #startedAt = performance.now();
  readonly #requested: RequestSource;
  readonly #send: (message: ThreadMessage) => void;
  #abort: AbortController | undefined;
  #log: TaskLog | undefined;
  #files: JobFiles | undefined;
  #progress: LatestOnly | undefined;
  #lines: LineBuffer | undefined;

  /** @param folder where the job's files are */
  constructor(
    request: JobRequest,
    folder: Pick<ThreadSettings, 'filesDir' | 'remoteFiles'>,
    requested: RequestSource,
    send: (message: ThreadMessage) => void,
  ) {
    this.id = request.id;
    this.task = request.task;
    this.attempt = request.attempt;
    this.#request = request;
    this.#folder = folder;
    this.#requested = requested;
    this.#send = send;
  }

  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    return this.#abort.signal;
  }

  get log(): TaskLog {
    this.#log ??= taskLog((line) => this.print(line));
    return this.#log;
  }

  get files(): TaskFiles {
    this.#files ??= new JobFiles(this.#request, this.#folder, this.#send, this.signal);
    return this.#files;
  }

  check(): void {
    const request = this.#requested();
    if (request !== Request.none) throw this.stop(request);
  }

  guard<T>(work: () => T): T {
    this.check();
    const leftMs = this.#request.softSeconds * 1000 - (performance.now() - this.#startedAt);
    if (leftMs < 1) throw this.stop(Request.softStop);
    return interruptible(work, leftMs, () => this.stop(Request.softStop));
  }

  progress(value: unknown): void {
    // A copy, and one that JSON carries: the value may change after the call.
    this.#progress ??= new LatestOnly(PROGRESS_PAUSE_MS, (latest) => this.#send({ type: 'progress', id: this.id, value: latest }));
    this.#progress.offer(JSON.parse(JSON.stringify(value ?? null)));
  }

  /** Aborts the signal, unless it is already. @returns its reason */
  stop(request: number): unknown {
    const { signal } = this;
    if (!signal.aborted) {
      this.#abort?.abort(request === Request.revoke ? new Revoked() : new SoftTimeLimitExceeded(this.#request.softSeconds));
    }
    return signal.reason;
  }

  /** The signal's reason when an error comes from it: the reason itself, or what Node's own functions wrap it in. */
  stopReason(thrown: unknown): unknown {
    const signal = this.#abort?.signal;
    if (!signal?.aborted || !(thrown instanceof Error)) return undefined;
    const fromSignal = thrown === signal.reason || thrown.cause === signal.reason || thrown.name === 'AbortError';
    return fromSignal ? signal.reason : undefined;
  }

  /** Takes a line that the job printed or logged. */
  print(line: OutputLine): void {
    this.#lines ??= new LineBuffer((lines, dropped) => this.#send({ type: 'lines', id: this.id, task: this.task, lines, dropped }));
    this.#lines.add(line);
  }

  /** The consumer's answer to the fetch of a file. */
  take(answer: FetchAnswer): void {
    this.#files?.take(answer);
  }

  /** Adds the files that are to be delivered to the outcome of a job that has succeeded. */
  complete(outcome: ThreadOutcome): ThreadOutcome {
    return this.#files?.complete(outcome) ?? outcome;
  }

  /** Sends what is still held back. */
  end(): void {
    this.#progress?.flush();
    this.#lines?.flush();
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
