/** What running jobs tell on their way: progress, log lines, child processes, late errors. */
import { messageOf } from '../../shared/errors.ts';
import { appendJobLog, type JobLogLine } from '../../shared/job-log.ts';
import { taskKeys } from '../../shared/job-scripts.ts';
import type { Logger } from '../../shared/logger.ts';
import type { Redis } from '../../shared/redis.ts';
import type { FileLeases } from './file-leases.ts';
import type { ThreadMessage } from './thread-protocol.ts';

/** Lines of a job are sent to Redis together, at most this often, in milliseconds. */
const FLUSH_MS = 100;

export interface JobMessagesOptions {
  redis: Redis;
  prefix: string;
  /** Seconds for which a job's lines are kept at the most. */
  keepSeconds: number;
  log: Logger;
  /** The task of a running job. */
  taskOf: (id: string) => string | undefined;
  leases: FileLeases;
  /** Brings a file for a running job. */
  fetch: (id: string, name: string) => void;
}

export class JobMessages {
  readonly #options: JobMessagesOptions;
  readonly #lines = new Map<string, { task: string; lines: JobLogLine[] }>();
  /** Child processes that live, by the job that started them. */
  readonly #children = new Map<string, Set<number>>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: JobMessagesOptions) {
    this.#options = options;
  }

  take(message: ThreadMessage): void {
    const { log } = this.#options;
    if (message.type === 'progress') this.#keepProgress(message.id, message.value);
    else if (message.type === 'lines') this.#keepLines(message);
    else if (message.type === 'child') this.#keepChild(message);
    else if (message.type === 'file') this.#keepFile(message);
    else if (message.type === 'fetch') this.#fetch(message);
    else log.warn({ task: message.task, jobId: message.id, reason: message.text }, 'job.late_error');
  }

  #keepProgress(id: string, value: unknown): void {
    const task = this.#options.taskOf(id);
    if (task === undefined) return;
    const key = taskKeys(this.#options.prefix, task).job(id);
    this.#options.redis
      .hset(key, 'progress', JSON.stringify(value))
      .catch((error) => this.#options.log.debug({ reason: messageOf(error) }, 'progress.failed'));
  }

  #keepLines({ id, task, lines, dropped }: ThreadMessage & { type: 'lines' }): void {
    if (dropped > 0) this.#options.log.warn({ task, jobId: id, dropped }, 'task.lines_dropped');
    const kept = this.#lines.get(id) ?? { task, lines: [] };
    this.#lines.set(id, kept);
    for (const line of lines) {
      const { level, ...rest } = line;
      this.#options.log[level]({ task, jobId: id, ...rest }, 'task.logged');
      kept.lines.push({ time: new Date().toISOString(), ...line });
    }
    this.#timer ??= setTimeout(() => void this.flush(), FLUSH_MS);
  }

  /** Sends the lines that are held back. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const { redis, prefix, keepSeconds, log } = this.#options;
    const held = [...this.#lines];
    this.#lines.clear();
    await Promise.all(
      held.map(([id, { task, lines }]) =>
        appendJobLog(redis, prefix, task, id, lines, keepSeconds).catch((error) =>
          log.debug({ jobId: id, reason: messageOf(error) }, 'job_log.failed'),
        ),
      ),
    );
  }

  /** The thread has taken the lease; from here on it is renewed. */
  #keepFile({ id, name }: ThreadMessage & { type: 'file' }): void {
    if (this.#options.taskOf(id) !== undefined) this.#options.leases.keep(id, name);
  }

  #fetch({ id, name }: ThreadMessage & { type: 'fetch' }): void {
    if (this.#options.taskOf(id) !== undefined) this.#options.fetch(id, name);
  }

  #keepChild({ id, pid, alive }: ThreadMessage & { type: 'child' }): void {
    const children = this.#children.get(id) ?? new Set();
    this.#children.set(id, children);
    if (alive) children.add(pid);
    else children.delete(pid);
    // The job may be over already: then nobody waits for the child.
    if (this.#options.taskOf(id) === undefined) this.endChildren(id);
  }

  /** Ends the child processes that a job has forgotten. */
  endChildren(id: string): void {
    const children = this.#children.get(id);
    if (children === undefined) return;
    this.#children.delete(id);
    for (const pid of children) {
      try {
        process.kill(pid, 'SIGKILL');
        this.#options.log.warn({ jobId: id, child: pid }, 'job.child_ended');
      } catch {
        // It has ended by itself.
      }
    }
  }
}
