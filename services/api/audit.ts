/** Who did what, to which job or file, and from where: one JSON line each in LOG_DIR/audit.log. */
import { mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import type { ParameterizedContext } from 'koa';
import type { Config } from '../../shared/config.ts';
import { FastTaskError, messageOf } from '../../shared/errors.ts';
import { type Appender, appendingTo, createLogger, type Logger } from '../../shared/logger.ts';
import type { AuditEvent, Context, RequestState } from './route.ts';

type Answering = ParameterizedContext<RequestState>;

/** Statuses of answers to callers who were not let in, or not let through. */
const TURNED_AWAY: ReadonlySet<number> = new Set([401, 403, 429]);

export class Audit {
  readonly #log: Logger;
  readonly #file: Appender;

  constructor({ dirs }: Pick<Config, 'dirs'>, log: Logger) {
    this.#file = appendingTo(openAudit(dirs.log, log));
    // A full disk must not end the API; its other logs say so.
    this.#file.on('error', () => {});
    this.#log = createLogger('info', { service: 'audit' }, this.#file);
  }

  /** A request that was answered. */
  done(event: AuditEvent, ctx: Context): void {
    // What a client has already, or only asks about, has not been fetched.
    if (ctx.method === 'HEAD' || ctx.status === 304) return;
    this.#log.info({ ...factsOf(ctx), user: ctx.state.caller.name, ...ctx.state.audited }, event);
  }

  /** A request of somebody who was turned away; `user` is who they said they were, if the account is known to have been right. */
  refused(ctx: Answering, error: unknown): void {
    if (!(error instanceof FastTaskError) || !TURNED_AWAY.has(error.status)) return;
    this.#log.warn(
      { ...factsOf(ctx), user: (ctx.state as Partial<RequestState>).caller?.name, code: error.code, path: ctx.path.slice(0, LONGEST_PATH) },
      'caller.refused',
    );
  }

  /** Writes down what is still held back. */
  close(): void {
    try {
      this.#file.flushSync();
    } catch {
      // A full disk: what can be said of it was said by the other logs.
    }
  }
}

const STANDARD_OUTPUT = 1;

/** Of a longer path only the beginning is written down. */
const LONGEST_PATH = 200;

/** Every process appends whole lines to the same file, which only its owner may read. Where there can be none, the lines go where the log goes. */
function openAudit(folder: string, log: Logger): number {
  try {
    mkdirSync(folder, { recursive: true });
    return openSync(join(folder, 'audit.log'), 'a', 0o600);
  } catch (error) {
    log.error({ reason: messageOf(error) }, 'audit.not_opened');
    return STANDARD_OUTPUT;
  }
}

function factsOf({ ip, method, state }: Answering): Record<string, unknown> {
  const { requestId, task }: Partial<RequestState> = state;
  return { address: ip, method, requestId, task: task?.name };
}
