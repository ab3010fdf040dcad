import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { type EndListener, JobEnds } from '../../services/api/job-ends.ts';
import { taskKeys } from '../../shared/job-scripts.ts';
import type { JobView } from '../../shared/job-state.ts';
import { createLogger } from '../../shared/logger.ts';
import { connectListener, type RedisListener } from '../../shared/redis.ts';
import { replyChannel, tellEnd } from '../../shared/replies.ts';
import { TestQueue } from '../support/queue.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';

/** When a job that is waited for is read again, in milliseconds. */
const READ_AGAIN_MS = 10_000;

const log = createLogger('silent', { service: 'test' });

let queue: TestQueue;
let subscriber: RedisListener;
let ends: JobEnds;

/** Keeps what it is told. */
class Notes implements EndListener {
  readonly told: [id: string, view: JobView | undefined][] = [];

  ended(id: string, view: JobView | undefined): void {
    this.told.push([id, view]);
  }

  async first(timeoutMs = READ_AGAIN_MS / 2): Promise<JobView | undefined> {
    await until(() => this.told.length > 0, { what: 'an end to be told', timeoutMs });
    return this.told[0]?.[1];
  }
}

function connect(): { subscriber: RedisListener; ends: JobEnds } {
  const connection = connectListener(queue.server.settings, { name: 'test:ends' }, log);
  const options = { subscriber: connection, prefix: 'fasttask', processId: randomUUID(), jobs: () => queue.jobs, log };
  return { subscriber: connection, ends: new JobEnds(options) };
}

const keyOf = (task: string, id: string) => taskKeys('fasttask', task).job(id);
const tellOf = (task: string, id: string) => queue.redis.hget(keyOf(task, id), 'tell');

beforeAll(async () => {
  queue = await TestQueue.start();
  await queue.consumer({ ENABLED_TASKS: 'noop,wait,flaky,misbehave' });
});
afterAll(() => queue.stop());

beforeEach(async () => {
  ({ subscriber, ends } = connect());
  ends.start();
  await subscriber.subscribe(ends.channel);
});
afterEach(() => {
  ends.stop();
  subscriber.disconnect();
});

test('an end is told with its result, long before the job would be read again, and forgotten', async () => {
  const notes = new Notes();
  const id = await queue.submit('wait', { seconds: 1 });
  const beganAt = performance.now();
  expect((await ends.watch('wait', id, notes))?.state).toMatch(/PENDING|STARTED/);
  expect(await tellOf('wait', id)).toBe(ends.channel);
  expect(await notes.first()).toEqual({ state: 'SUCCESS', resultJson: '{"waited":true}' });
  expect(performance.now() - beganAt).toBeLessThan(READ_AGAIN_MS / 2);
  expect([await tellOf('wait', id), ends.size, notes.told.length]).toEqual([null, 0, 1]);
});

test('a job that has ended is told by the reading alone', async () => {
  const notes = new Notes();
  const id = await queue.submit('noop');
  await queue.ends(id);
  expect((await ends.watch('noop', id, notes))?.state).toBe('SUCCESS');
  expect([await tellOf('noop', id), ends.size, notes.told]).toEqual([null, 0, []]);
  expect(
    await ends.watch(
      'noop',
      id.replace(/.$/, (last) => (last === '0' ? '1' : '0')),
      notes,
    ),
  ).toBeUndefined();
  expect(ends.size).toBe(0);
});

test('a process asks once for all who wait, and processes hear of a job independently', async () => {
  const other = connect();
  other.ends.start();
  await other.subscriber.subscribe(other.ends.channel);
  const [one, two, three] = [new Notes(), new Notes(), new Notes()];
  const id = await queue.submit('wait', { seconds: 1 });
  await Promise.all([ends.watch('wait', id, one), ends.watch('wait', id, two), other.ends.watch('wait', id, three)]);
  expect((await tellOf('wait', id))?.split(' ').sort()).toEqual([ends.channel, other.ends.channel].sort());
  for (const notes of [one, two, three]) expect((await notes.first())?.state).toBe('SUCCESS');
  expect([one, two, three].map(({ told }) => told.length)).toEqual([1, 1, 1]);
  other.ends.stop();
  other.subscriber.disconnect();
});

test('the submitter and those who asked later are told once each', async () => {
  const [first, later] = [new Notes(), new Notes()];
  const messages: string[] = [];
  subscriber.on('message', (channel: string, message: string) => void (channel === ends.channel && messages.push(message)));
  const id = queue.jobs.newId('wait');
  ends.listen('wait', id, first);
  await queue.jobs.submit(queue.task('wait'), { params: { seconds: 1 }, replyTo: ends.channel }, '', id);
  await ends.watch('wait', id, later);
  for (const notes of [first, later]) expect((await notes.first())?.state).toBe('SUCCESS');
  expect(messages).toEqual([JSON.stringify([id, 'SUCCESS', '{"waited":true}'])]);
});

test('a failure is told when no try is left, and a try that fails before is not', async () => {
  const [retried, failed] = [new Notes(), new Notes()];
  const id = await queue.submit('flaky', { file: `${tempDir('diary')}/diary`, succeedsAt: 3 });
  await ends.watch('flaky', id, retried);
  expect((await retried.first())?.state).toBe('SUCCESS');
  expect(retried.told).toHaveLength(1);
  const bad = await queue.submit('misbehave', { way: 'throw' });
  const now = await ends.watch('misbehave', bad, failed);
  const end = now?.state === 'FAILURE' ? now : await failed.first();
  expect(end).toMatchObject({ state: 'FAILURE', resultJson: expect.stringContaining('the order is empty') });
});

test('a revoke of a running job and of a waiting one is told', async () => {
  const running = [await queue.submit('wait', { seconds: 30 }), await queue.submit('wait', { seconds: 30 })];
  for (const id of running) await queue.reaches(id, ['STARTED']);
  const waiting = await queue.submit('wait', { seconds: 30 });
  for (const [id, result] of [[waiting, '"revoked"'], ...running.map((one) => [one, '"terminated"'] as const)] as const) {
    const notes = new Notes();
    await ends.watch('wait', id, notes);
    await queue.jobs.revoke('wait', id);
    expect(await notes.first()).toMatchObject({ state: 'REVOKED', resultJson: result });
  }
});

test('an end that nobody tells is found by reading again, which asks again where the job goes on', async () => {
  const [ended, goesOn] = [new Notes(), new Notes()];
  const short = await queue.submit('wait', { seconds: 1 });
  const long = await queue.submit('wait', { seconds: 60 });
  await Promise.all([ends.watch('wait', short, ended), ends.watch('wait', long, goesOn)]);
  for (const id of [short, long]) expect(await queue.redis.hdel(keyOf('wait', id), 'tell')).toBe(1);
  expect((await ended.first(READ_AGAIN_MS + 5000))?.state).toBe('SUCCESS');
  await until(async () => (await tellOf('wait', long)) === ends.channel, { what: 'the job to be asked again', timeoutMs: READ_AGAIN_MS });
  await queue.jobs.revoke('wait', long);
  expect((await goesOn.first())?.state).toBe('REVOKED');
});

test('after a reconnect all that is waited for is read again at once', async () => {
  const notes = [new Notes(), new Notes()];
  const ids = [await queue.submit('wait', { seconds: 1 }), await queue.submit('wait', { seconds: 1 })];
  const beganAt = performance.now();
  for (const [index, id] of ids.entries()) await ends.watch('wait', id, notes[index] ?? new Notes());
  for (const id of ids) await queue.redis.hdel(keyOf('wait', id), 'tell');
  await until(() => queue.ended(ids), { what: 'the jobs to end' });
  expect(notes.map(({ told }) => told)).toEqual([[], []]);
  subscriber.disconnect(true);
  for (const one of notes) expect((await one.first())?.state).toBe('SUCCESS');
  expect(performance.now() - beganAt).toBeLessThan(READ_AGAIN_MS);
});

test('a result too long for a message is read from the job', async () => {
  const notes = new Notes();
  const id = await queue.submit('wait', { seconds: 30 });
  await ends.watch('wait', id, notes);
  const messages: string[] = [];
  subscriber.on('message', (_channel: string, message: string) => void messages.push(message));
  const long = { state: 'FAILURE', resultJson: JSON.stringify('x'.repeat(100_000)) } as const;
  await tellEnd(queue.redis, { prefix: 'fasttask', task: 'wait', id }, replyChannel('fasttask', 'nobody'), long);
  await until(() => messages.length > 0, { what: 'the message' });
  expect(messages).toEqual([JSON.stringify([id])]);
  // It was not true: the job goes on, and is asked again.
  await until(async () => (await tellOf('wait', id)) === ends.channel, { what: 'the job to be asked again' });
  expect(notes.told).toEqual([]);
  await queue.jobs.revoke('wait', id);
  expect((await notes.first())?.state).toBe('REVOKED');
});

test('who listens before the job is there does not hear that there is none, and hears when it has gone', async () => {
  const [early, gone] = [new Notes(), new Notes()];
  const id = queue.jobs.newId('wait');
  ends.listen('wait', id, early);
  const lost = await queue.submit('wait', { seconds: 30 });
  await ends.watch('wait', lost, gone);
  await queue.reaches(lost, ['STARTED']);
  await queue.redis.del(keyOf('wait', lost));
  subscriber.disconnect(true);
  await until(() => gone.told.length > 0, { what: 'the loss to be told' });
  expect([gone.told, early.told]).toEqual([[[lost, undefined]], []]);
  ends.unlisten(id, early);
  expect(ends.size).toBe(0);
});
