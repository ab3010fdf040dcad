/** How long a transfer is tried again. */
import { setTimeout as pause } from 'node:timers/promises';
import { codeOf, FastTaskError, messageOf } from '../../shared/errors.ts';
import { UntrustedCertificateError } from './pinned-agent.ts';

/** Pauses between tries, in milliseconds: twice as long each time, and with chance, so that workers do not come all at once. */
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 5000;

/** A new certificate or a new credential is known everywhere before that, in milliseconds: who is refused for longer stays so. */
const REFUSED_MS = 10_000;

/** What the master answered instead of a file. */
export class AnswerError extends Error {
  override readonly name = 'AnswerError';
  readonly status: number;

  constructor(status: number, detail: string) {
    super(`it answered ${status}: ${detail}`);
    this.status = status;
  }
}

/** Another try would not mend it. */
export class FutileError extends Error {
  override readonly name = 'FutileError';
}

/** Troubles of this node's own disk, and names that it cannot have. */
const OF_DISK: readonly unknown[] = [
  'ENOSPC',
  'EDQUOT',
  'EACCES',
  'EPERM',
  'EROFS',
  'EIO',
  'EMFILE',
  'ENFILE',
  'ENOENT',
  'EISDIR',
  'ENOTDIR',
  'ENOTEMPTY',
  'EEXIST',
  'ELOOP',
  'EFBIG',
  'ENAMETOOLONG',
];

/** Whether another try may help: always, for a while (a refusal that a renewal would explain), or never. */
function isWorthATry(error: unknown): 'always' | 'briefly' | 'never' {
  if (error instanceof UntrustedCertificateError) return 'briefly';
  if (error instanceof AnswerError) {
    if (error.status === 401) return 'briefly';
    return error.status === 507 || (error.status < 500 && ![408, 412, 416, 429].includes(error.status)) ? 'never' : 'always';
  }
  return error instanceof FutileError || error instanceof FastTaskError || OF_DISK.includes(codeOf(error)) ? 'never' : 'always';
}

/**
 * Does something until it succeeds, with growing pauses.
 * @param work is handed what it calls after progress: then the pauses begin anew
 * @param onFailure is told of every failure that is followed by another try
 * @throws what `work` threw last, when another try is futile or the signal ends it
 */
export async function persistently<T>(
  work: (progressed: () => void) => Promise<T>,
  signal: AbortSignal,
  onFailure: (error: unknown) => void,
): Promise<T> {
  let pauseMs = FIRST_PAUSE_MS;
  let refusedSince: number | undefined;
  const progressed = () => {
    pauseMs = FIRST_PAUSE_MS;
  };
  for (;;) {
    let last: unknown;
    try {
      return await work(progressed);
    } catch (error) {
      last = error;
    }
    const worth = isWorthATry(last);
    refusedSince = worth === 'briefly' ? (refusedSince ?? performance.now()) : undefined;
    const refusedForLong = refusedSince !== undefined && performance.now() - refusedSince > REFUSED_MS;
    if (worth === 'never' || refusedForLong || signal.aborted) throw last;
    onFailure(last);
    try {
      await pause(pauseMs * (0.5 + Math.random() / 2), undefined, { signal });
    } catch {
      throw new Error(`${messageOf(last)} (given up)`);
    }
    pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
  }
}
