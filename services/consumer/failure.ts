/** What a client is told of a job that failed, and whether it is tried again. */
import type { RetryOptions } from '../../shared/task.ts';
import type { RunEnd } from './run.ts';
import type { RunningJob } from './running-job.ts';
import type { FailureKind, PlainError } from './thread-protocol.ts';

/** The error of a job that did not succeed, was not stopped for another reason than its limit, and is not innocent. */
export function failureOf(
  { stopCause, limits, claim }: Pick<RunningJob, 'stopCause' | 'limits' | 'claim'>,
  end: Exclude<RunEnd, { json: string } | { innocent: true }>,
): PlainError {
  if (stopCause === 'limit') return { text: `TimeLimitExceeded(${limits.hardSeconds})`, kind: 'hard_limit' };
  if ('error' in end) return end.error;
  if (/memory limit|out of memory|SIGABRT/i.test(end.ended)) {
    return { text: 'OutOfMemory: the task needed more heap than it may have (memoryLimit in the task file)', kind: 'error' };
  }
  if (claim.job.stalledCounter > 0) {
    return {
      text: `ConsumerLost(${claim.job.stalledCounter + 1}): the job ended its consumer, and then its own process (${end.ended})`,
      kind: 'final',
    };
  }
  return { text: `ThreadEnded: the task ended its thread or process (${end.ended}); a task must not call process.exit`, kind: 'error' };
}

/** Whether a failure of this kind is worth another try. */
export function isRetried(kind: FailureKind, { retryOnLimit = false }: RetryOptions): boolean {
  if (kind === 'soft_limit' || kind === 'hard_limit') return retryOnLimit;
  return kind === 'error';
}
