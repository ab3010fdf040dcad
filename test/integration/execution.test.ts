import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TestProcess } from '../support/processes.ts';
import { readDiary, TestQueue } from '../support/queue.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';

let queue: TestQueue;
let consumer: TestProcess;

beforeAll(async () => {
  queue = await TestQueue.start();
  consumer = await queue.consumer({ SOFT_TIME_LIMIT: '2', TIME_LIMIT: '3', WORKER_CONCURRENCY: '1', RESULT_MAX_BYTES: '1000000' });
});
afterAll(() => queue.stop());

function diary(): string {
  const file = join(tempDir('diary'), 'lines');
  writeFileSync(file, '');
  return file;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe('ctx.guard', () => {
  it.each(['loop', 'regex'])('interrupts a %s at the soft limit', async (what) => {
    const { state, result } = await queue.result('guarded', { what });
    expect(state).toBe('FAILURE');
    expect(result).toMatch(/^SoftTimeLimitExceeded: the task ran for more than 0.5 s/);
  });

  it('lets the task rescue what it can', async () => {
    expect(await queue.result('guarded', { what: 'loop', rescue: true })).toEqual({ state: 'SUCCESS', result: 'rescued' });
    expect(await queue.result('guarded', { what: 'quick' })).toEqual({ state: 'SUCCESS', result: 'quick' });
  });
});

describe('what a job leaves behind', () => {
  it.each(['timer', 'environment', 'global', 'replaced', 'prototype'])(
    '%s: SUCCESS, and the next job meets a new thread',
    async (leave) => {
      const first = await queue.result('traces', { leave });
      const second = await queue.result('traces');
      expect(first).toMatchObject({ state: 'SUCCESS', result: { found: [] } });
      expect(second).toMatchObject({ state: 'SUCCESS', result: { found: [] } });
      expect((second.result as { thread: number }).thread).not.toBe((first.result as { thread: number }).thread);
    },
  );

  it('nothing: the thread is used again', async () => {
    const threads = [await queue.result('traces'), await queue.result('traces')].map(({ result }) => (result as { thread: number }).thread);
    expect(threads[0]).toBe(threads[1]);
  });

  it.each(['traces', 'isolated'])('a child process of %s is ended', async (task) => {
    const before = children();
    expect((await queue.result(task, { leave: 'child', way: 'child' })).state).toBe('SUCCESS');
    await until(() => children().every((pid) => before.includes(pid)), { what: 'the forgotten child to be ended' });

    function children(): number[] {
      return consumer.descendants('sleep');
    }
  });
});

describe('isolation: process', () => {
  it('runs each job in a process of its own', async () => {
    const [first, second] = [await queue.result('isolated'), await queue.result('isolated')];
    const pids = [first, second].map(({ result }) => (result as { pid: number }).pid);
    expect(new Set([...pids, consumer.pid]).size).toBe(3);
    expect(pids.map(isAlive)).toEqual([false, false]);
  });

  it('kills a native call at the hard limit, and the consumer lives on', async () => {
    expect(await queue.result('isolated', { way: 'native' })).toEqual({ state: 'FAILURE', result: 'TimeLimitExceeded(3)' });
    expect(consumer.alive).toBe(true);
  });

  it('stops a loop with checkpoints at the soft limit', async () => {
    expect((await queue.result('isolated', { way: 'spin' })).result).toMatch(/^SoftTimeLimitExceeded/);
  });

  it.each([
    ['exit', /^ThreadEnded: .*exit code 4/],
    ['abort', /^OutOfMemory/],
  ])('%s fails that job alone', async (way, text) => {
    expect((await queue.result('isolated', { way })).result).toMatch(text);
    expect((await queue.result('noop')).state).toBe('SUCCESS');
  });
});

describe('memory', () => {
  it('fails the job that runs out of it with a clear text, not the consumer', async () => {
    const hungry = await TestQueue.start();
    try {
      const patient = await hungry.consumer({ WORKER_CONCURRENCY: '1' });
      const id = await hungry.submit('hungry', { mebibytes: 4000 });
      expect(await hungry.ends(id, 25_000)).toMatchObject({ state: 'FAILURE', result: expect.stringMatching(/^OutOfMemory/) });
      expect(patient.alive).toBe(true);
      expect((await hungry.result('noop')).state).toBe('SUCCESS');
    } finally {
      await hungry.stop();
    }
  });

  it("replaces a thread whose heap has grown above the task's memoryLimit, after the job", async () => {
    const before = (await queue.result('traces')).result as { thread: number };
    expect(await queue.result('hungry', { mebibytes: 100 })).toEqual({ state: 'SUCCESS', result: 100 });
    const after = (await queue.result('traces')).result as { thread: number };
    expect(after.thread).not.toBe(before.thread);
  });

  it('refuses a result above RESULT_MAX_BYTES', async () => {
    const { state, result } = await queue.result('misbehave', { way: 'large' });
    expect(state).toBe('FAILURE');
    expect(result).toMatch(/^InvalidResult: the result has 2000002 bytes of JSON, more than RESULT_MAX_BYTES \(1000000\)/);
  });
});

describe('onRevoke', () => {
  it('has time to clean up, and not more than 5 s', async () => {
    const file = diary();
    const id = await queue.submit('cleans_up', { file, cleanUpMs: 500 });
    await until(() => readDiary(file).length === 1, { what: 'the job to run' });
    await queue.jobs.revoke('cleans_up', id);
    expect((await queue.check(id))?.state).toBe('REVOKED');
    await until(() => readDiary(file).length === 3, { what: 'the clean-up' });
    expect(readDiary(file).map(({ event }) => event)).toEqual(['start', 'revoked:Revoked', 'clean']);
    await consumer.waitForEvent('job.terminated', { where: ({ jobId }) => jobId === id });
  });

  it('is cut off after 5 s', async () => {
    const file = diary();
    const id = await queue.submit('cleans_up', { file, cleanUpMs: 60_000 });
    await until(() => readDiary(file).length === 1, { what: 'the job to run' });
    const revokedAt = performance.now();
    await queue.jobs.revoke('cleans_up', id);
    await consumer.waitForEvent('job.terminated', { where: ({ jobId }) => jobId === id });
    const seconds = (performance.now() - revokedAt) / 1000;
    // The task's own hard limit of 3 s came first or the 5 s did: never later than 6 s.
    expect(seconds).toBeLessThan(6);
    expect((await queue.result('noop')).state).toBe('SUCCESS');
  });
});

describe('what a job tells', () => {
  it('keeps its console and ctx.log lines with it and in the process log, with its id', async () => {
    const ids = [await queue.submit('talks', { name: 'one' }), await queue.submit('talks', { name: 'two' })];
    for (const id of ids) await queue.ends(id);
    const texts = (id: string | undefined) => queue.log(id ?? '').then((lines) => lines.map(({ message }) => message));
    await until(async () => (await texts(ids[1])).length === 3, { what: 'the lines to be kept' });
    expect(await texts(ids[0])).toEqual(['one 0', 'one warns', 'one logs']);
    expect(await texts(ids[1])).toEqual(['two 0', 'two warns', 'two logs']);
    await consumer.waitForEvent('task.logged', {
      where: ({ jobId, message, task }) => jobId === ids[1] && message === 'two warns' && task === 'talks',
    });
  });

  it('keeps the last 1,000 lines', async () => {
    const id = await queue.submit('talks', { name: 'many', lines: 1500 });
    await queue.ends(id);
    await until(async () => (await queue.log(id)).at(-1)?.message === 'many logs', { what: 'the last line' });
    const lines = await queue.log(id);
    expect(lines).toHaveLength(1000);
    expect(lines[0]?.message).toBe('many 502');
  });

  it('survives a flood of lines', async () => {
    const id = await queue.submit('talks', { name: 'flood', lines: 100_000 });
    expect(await queue.ends(id)).toMatchObject({ state: 'SUCCESS' });
    await until(async () => (await queue.log(id)).at(-1)?.message === 'flood logs', { what: 'the last line' });
    expect(await queue.log(id)).toHaveLength(1000);
    await consumer.waitForEvent('task.lines_dropped', { where: ({ jobId }) => jobId === id });
    expect((await queue.result('noop')).state).toBe('SUCCESS');
  });

  it('keeps its last progress', async () => {
    const id = await queue.submit('talks', { name: 'far' });
    await queue.ends(id);
    expect(await queue.redis.hget(`fasttask:{talks}:${id}`, 'progress')).toBe('{"name":"far"}');
  });
});

describe('a native call in a thread', () => {
  it('ends with the consumer 1 s after the limit; its other jobs are handed back and run elsewhere', async () => {
    const native = await TestQueue.start();
    try {
      const file = diary();
      const first = await native.consumer({ SOFT_TIME_LIMIT: '0.5', TIME_LIMIT: '1', WORKER_CONCURRENCY: '2' });
      const stuck = await native.submit('native');
      await native.reaches(stuck, ['STARTED']);
      const other = await native.submit('noted_a', { file, pauseMs: 20_000 }, { softTimeLimit: 1, timeLimit: 1 });
      const startedAt = performance.now();
      expect((await first.exited).signal).toBe('SIGKILL');
      expect(performance.now() - startedAt).toBeLessThan(2000 + 300);
      expect(await native.ends(stuck)).toEqual({ state: 'FAILURE', result: 'TimeLimitExceeded(1)' });
      expect((await native.check(other))?.state).toMatch(/PENDING|FAILURE/);
    } finally {
      await native.stop();
    }
  });
});
