import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TestProcess } from '../support/processes.ts';
import { TestQueue } from '../support/queue.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';

let queue: TestQueue;
let consumer: TestProcess;

beforeAll(async () => {
  queue = await TestQueue.start();
  consumer = await queue.consumer({ SOFT_TIME_LIMIT: '2', TIME_LIMIT: '3' });
});
afterAll(() => queue.stop());

/** A healthy consumer: the same process, and its slots take jobs. */
async function expectHealthy() {
  expect(consumer.alive).toBe(true);
  expect(await Promise.all([queue.result('noop'), queue.result('noop'), queue.result('noop')])).toEqual(
    Array(3).fill({ state: 'SUCCESS', result: null }),
  );
}

describe('limits', () => {
  it('terminates a task that spins within 1 s of its hard limit, and the consumer lives on', async () => {
    const id = await queue.submit('spin');
    await queue.reaches(id, ['STARTED']);
    const startedAt = performance.now();
    expect(await queue.ends(id)).toEqual({ state: 'FAILURE', result: 'TimeLimitExceeded(3)' });
    const seconds = (performance.now() - startedAt) / 1000;
    expect(seconds).toBeGreaterThan(2.5);
    expect(seconds).toBeLessThan(4);
    await expectHealthy();
  });

  it('ends a task that never listens at its hard limit', async () => {
    expect(await queue.result('wait', { seconds: 60, at_limit: 'ignore' })).toEqual({ state: 'FAILURE', result: 'TimeLimitExceeded(3)' });
    await expectHealthy();
  });

  it('stops a loop with checkpoints at its soft limit', async () => {
    const { state, result } = await queue.result('spin', { checks: true });
    expect(state).toBe('FAILURE');
    expect(result).toMatch(/^SoftTimeLimitExceeded: the task ran for more than 2 s/);
  });

  it('aborts what a task awaits at its soft limit', async () => {
    const { state, result } = await queue.result('wait', { seconds: 60 });
    expect(state).toBe('FAILURE');
    expect(result).toContain('SoftTimeLimitExceeded');
  });

  it('lets a task that awaits finish cleanly at its soft limit', async () => {
    expect(await queue.result('wait', { seconds: 60, at_limit: 'finish' })).toEqual({ state: 'SUCCESS', result: { waited: false } });
  });

  it("takes what a task's onSoftTimeLimit returns as the result", async () => {
    expect(await queue.result('saves')).toEqual({ state: 'SUCCESS', result: { saved: 'attempt 1' } });
  });

  it('keeps to the limits of one call', async () => {
    expect(await queue.result('spin', {}, { softTimeLimit: 0.2, timeLimit: 0.5 })).toEqual({
      state: 'FAILURE',
      result: 'TimeLimitExceeded(0.5)',
    });
  });
});

describe('what a task does wrong is a FAILURE with a clear text', () => {
  it.each([
    ['throw', /^OrderError: the order is empty\n\s+at .*misbehave\.ts:\d+:\d+/],
    ['throw_text', /^Error: the task threw string just a text, not an Error$/],
    ['reject', /^RangeError: rejected\n/],
    ['bigint', /^InvalidResult: the result cannot be written as JSON: .*BigInt/],
    ['circular', /^InvalidResult: the result cannot be written as JSON: .*circular/],
    ['exit', /^ThreadEnded: .*exit code 3/],
    ['overflow', /^RangeError: Maximum call stack size exceeded/],
    ['give_up', /^DoNotRetryError: it is of no use/],
    ['proxy', /^Error: the task threw/],
    ['getters', /^Error: the task threw something that cannot be described/],
  ])('%s', async (way, text) => {
    const { state, result } = await queue.result('misbehave', { way });
    expect(state).toBe('FAILURE');
    expect(result).toMatch(text);
    expect(result).not.toContain(tempDir.name);
    await expectHealthy();
  });

  it('except that what it posts to its parent is nobody’s concern', async () => {
    expect(await queue.result('misbehave', { way: 'garbage' })).toEqual({ state: 'SUCCESS', result: 'posted' });
    await expectHealthy();
  });

  it.each(['spoil', 'spin_behind'])('except that a thread in which it has left nothing whole is replaced: %s', async (way) => {
    for (const round of [1, 2]) {
      const { state } = await queue.result('misbehave', { way });
      expect(['SUCCESS', 'FAILURE'], `round ${round}`).toContain(state);
    }
    await expectHealthy();
  });

  it('a result that its schema refuses', async () => {
    const { state, result } = await queue.result('wrong_result');
    expect(state).toBe('FAILURE');
    expect(result).toMatch(/^InvalidResult: area: .*expected number/);
  });

  it('params that only the task itself refuses, not tried again', async () => {
    const { state, result } = await queue.result('refined', { even: 3 });
    expect(state).toBe('FAILURE');
    expect(result).toBe('InvalidParams: even: expected an even number');
  });

  it('a throw in a later tick of its run', async () => {
    const { state, result } = await queue.result('late', { when: 'during' });
    expect(state).toBe('FAILURE');
    expect(result).toMatch(/^Error: thrown in a later tick/);
    await expectHealthy();
  });

  it('but what is thrown after the result leaves the state alone and is logged with the job', async () => {
    const id = await queue.submit('late', { when: 'after' });
    expect(await queue.ends(id)).toEqual({ state: 'SUCCESS', result: 'done before' });
    const { reason } = await consumer.waitForEvent('job.late_error', { where: ({ jobId }) => jobId === id });
    expect(reason).toMatch(/thrown in a later tick/);
    await expectHealthy();
  });
});

describe('retries', () => {
  it('tries again after the pause, shows RETRY in between, and counts attempts', async () => {
    const file = join(tempDir('diary'), 'lines');
    const id = await queue.submit('flaky', { file, succeedsAt: 3 });
    await queue.reaches(id, ['RETRY']);
    expect(await queue.ends(id)).toEqual({ state: 'SUCCESS', result: { attempt: 3, starts: 3 } });
  });

  it('gives up after the last retry', async () => {
    const file = join(tempDir('diary'), 'lines');
    const { state, result } = await queue.result('flaky', { file, succeedsAt: 9 });
    expect(state).toBe('FAILURE');
    expect(result).toMatch(/^Error: try 4 fails/);
  });
});

describe('revoke', () => {
  it('ends a running job within 1 s', async () => {
    const id = await queue.submit('spin');
    await queue.reaches(id, ['STARTED']);
    const revokedAt = performance.now();
    expect(await queue.jobs.revoke('spin', id)).toBe('started');
    expect(await queue.check(id)).toMatchObject({ state: 'REVOKED', resultJson: '"terminated"' });
    await consumer.waitForEvent('job.terminated', { where: ({ jobId }) => jobId === id });
    expect(performance.now() - revokedAt).toBeLessThan(1000);
    await expectHealthy();
  });

  it('drops a waiting job, which never starts', async () => {
    const file = join(tempDir('diary'), 'lines');
    writeFileSync(file, '');
    const busy = await Promise.all([queue.submit('wait', { seconds: 0.5 }), queue.submit('wait', { seconds: 0.5 })]);
    for (const id of busy) await queue.reaches(id, ['STARTED']);
    const id = await queue.submit('noted_a', { file });
    expect(await queue.jobs.revoke('noted_a', id)).toBe('waiting');
    expect(await queue.check(id)).toMatchObject({ state: 'REVOKED', resultJson: '"revoked"' });
    expect((await queue.jobs.counts('noted_a')).waiting).toBe(0);
    for (const other of busy) await queue.ends(other);
    await consumer.waitForEvent('job.revoked', { where: ({ jobId }) => jobId === id });
    expect(await queue.check(id)).toMatchObject({ state: 'REVOKED', resultJson: '"revoked"' });
    expect(await queue.jobs.counts('noted_a')).toMatchObject({ waiting: 0, active: 0, failed: 0, revoked: 1 });
  });

  it('leaves an ended job as it is, and says of an unknown one that it is unknown', async () => {
    const id = await queue.submit('noop');
    await queue.ends(id);
    expect(await queue.jobs.revoke('noop', id)).toBe('ended');
    expect(await queue.check(id)).toMatchObject({ state: 'SUCCESS' });
    expect(await queue.jobs.revoke('noop', queue.jobs.newId('noop'))).toBe('unknown');
  });

  it('ends a job that waits for its next try, which never comes', async () => {
    const file = join(tempDir('diary'), 'lines');
    const id = await queue.submit('flaky', { file, succeedsAt: 9 });
    await queue.reaches(id, ['RETRY']);
    expect(['retrying', 'started']).toContain(await queue.jobs.revoke('flaky', id));
    expect((await queue.ends(id)).state).toBe('REVOKED');
  });
});

it('forgets results after RESULT_EXPIRES: at once to readers, soon afterwards in Redis', async () => {
  const short = await TestQueue.start();
  try {
    await short.consumer({ RESULT_EXPIRES: '1' });
    const id = await short.submit('noop');
    expect((await short.ends(id)).state).toBe('SUCCESS');
    await until(async () => (await short.check(id)) === undefined, { what: 'the result to expire', timeoutMs: 1500 });
    await until(async () => (await short.keys('*noop*:*-noop-*')).length === 0, { what: 'its memory to be freed', timeoutMs: 3000 });
  } finally {
    await short.stop();
  }
});
