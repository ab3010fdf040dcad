import { expect, test, vi } from 'vitest';
import type { Claim } from '../../services/consumer/claim.ts';
import type { Run } from '../../services/consumer/run.ts';
import { RunningJob } from '../../services/consumer/running-job.ts';

/** A job that has begun, or not. */
function jobThat(hasBegun: boolean) {
  const run = { recall: vi.fn(() => !hasBegun), request: vi.fn(), terminate: vi.fn(() => hasBegun) };
  const job = new RunningJob({
    claim: {} as Claim,
    run: run as unknown as Run,
    limits: { softSeconds: 1, hardSeconds: 2 },
    onStuck: () => {},
  });
  return { job, run };
}

test('a job that is revoked before it begins does not begin during the grace that one which runs has', () => {
  const { job, run } = jobThat(false);
  job.stop('revoked', 5000);
  expect([run.recall, run.request, run.terminate].map(({ mock }) => mock.calls.length)).toEqual([1, 0, 0]);
  job.ended();
});

test('a job that runs is asked first, and ended after its grace', () => {
  vi.useFakeTimers();
  const { job, run } = jobThat(true);
  job.stop('revoked', 5000);
  expect([run.request, run.terminate].map(({ mock }) => mock.calls.length)).toEqual([1, 0]);
  vi.advanceTimersByTime(5000);
  expect(run.terminate).toHaveBeenCalledOnce();
  job.ended();
  vi.useRealTimers();
});
