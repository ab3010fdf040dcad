import { describe, expect, it } from 'vitest';
import { violationsOf } from '../chaos/checker.ts';
import type { DiaryLine, History } from '../chaos/history.ts';

const id = 'RID-waits-1';
const line = (event: DiaryLine['event'], atMs: number, more: Partial<DiaryLine> = {}): DiaryLine => ({
  event,
  id,
  attempt: 1,
  pid: 1,
  atMs,
  ...more,
});

/** One job that was submitted, ran and succeeded. */
const good: History = {
  acknowledged: [{ id, task: 'waits', sentMs: 0, atMs: 1 }],
  revokes: [],
  observations: [],
  finals: [{ id, state: 'SUCCESS', atMs: 9000 }],
  faults: [],
  diary: [line('start', 10), line('end', 20)],
  handedBack: {},
  leftovers: [],
  concurrency: 1,
  loadEndedMs: 100,
  aofAlways: false,
};

/** Two more jobs that ran beside the first one. */
const others = ['RID-limited-2', 'RID-limited-3', 'RID-limited-4'];
const beside = others.flatMap((other) => [line('start', 12, { id: other }), line('end', 18, { id: other })]);

const killOfRedis = (atMs: number) => ({ kind: 'kill', target: 'redis', fromMs: atMs, toMs: atMs + 1 });

describe('a history is refused', () => {
  it.each<[string, Partial<History>, RegExp]>([
    ['when an acknowledged job is gone', { finals: [{ id, state: 'missing', atMs: 9000 }] }, /acknowledged and gone/],
    ['when a job never ends', { finals: [{ id, state: 'STARTED', atMs: 9000 }] }, /never ended/],
    ['when an end changes', { observations: [{ id, state: 'FAILURE', atMs: 30 }] }, /changed its end: .* was FAILURE, is SUCCESS/],
    ['when a job starts too often', { diary: [10, 20, 30].map((at) => line('start', at)) }, /started 3 times, at most 2 allowed/],
    [
      'when a revoked job starts',
      { revokes: [{ id, message: 'task is still pending, will revoked later', atMs: 5 }] },
      /started 5 ms after its revoke/,
    ],
    ['when more jobs run than there are slots', { diary: [...good.diary, ...beside] }, /4 jobs of the node ran at once, at most 1/],
    [
      'when more jobs of a limited task run than may',
      { concurrency: 9, diary: beside, acknowledged: others.map((other) => ({ id: other, task: 'limited' as const, sentMs: 0, atMs: 1 })) },
      /3 jobs of the task limited ran at once, at most 2/,
    ],
    [
      'when nothing starts for long',
      { diary: [line('start', 10), line('start', 20_000, { id: 'RID-waits-2' })], loadEndedMs: 30_000 },
      /nothing started for 19990 ms/,
    ],
    ['when something is left over', { leftovers: ['the key x'] }, /left over: the key x/],
  ])('%s', (_, change, violation) => {
    expect(violationsOf({ ...good, ...change })).toEqual([expect.stringMatching(violation)]);
  });
});

describe('a history is accepted', () => {
  it.each<[string, Partial<History>]>([
    ['when all is well', {}],
    ['when a job ran again after its consumer was lost', { diary: [line('start', 10), line('start', 900), line('end', 950)] }],
    [
      'when Redis was killed right after an acknowledgement',
      { finals: [{ id, state: 'missing', atMs: 9000 }], faults: [killOfRedis(1500)] },
    ],
    [
      'when jobs were handed back as often as they started again',
      { diary: [1, 2, 3, 4].map((at) => line('start', at)), handedBack: { [id]: 2 } },
    ],
  ])('%s', (_, change) => {
    expect(violationsOf({ ...good, ...change })).toEqual([]);
  });

  it('but not when Redis was killed long after it, or writes to the disk before it answers', () => {
    const finals = [{ id, state: 'missing', atMs: 9000 }];
    expect(violationsOf({ ...good, finals, faults: [killOfRedis(5000)] })).toHaveLength(1);
    expect(violationsOf({ ...good, finals, faults: [killOfRedis(1500)], aofAlways: true })).toHaveLength(1);
  });
});
