import { describe, expect, it } from 'vitest';
import { check, type Rule } from '../chaos/checker.ts';
import type { AcknowledgedJob, Execution, Fault, History, Sighting } from '../chaos/history.ts';

const uuid = '0195f3a0-0000-7000-8000-000000000001';
const FIRST = 100;
const ID = `chaos-instant-${uuid}`;

function job(more: Partial<AcknowledgedJob> = {}): AcknowledgedJob {
  return { id: ID, task: 'instant', sentAt: 1000, acknowledgedAt: 1010, ...more };
}

function sighting(state: string, more: Partial<Sighting> = {}): Sighting {
  return { id: ID, sentAt: 9000, answeredAt: 9010, state, result: state === 'SUCCESS' ? '{"id":"x"}' : '"None"', ...more };
}

/** One run of a task's code, with its two lines. */
function ran(from: number, to: number, more: Partial<Execution> = {}): Execution[] {
  const line = { run: `${from}-${more.id ?? ID}`, id: ID, task: 'instant', attempt: 1, owner: FIRST, ...more };
  return [
    { ...line, event: 'start', at: from },
    { ...line, event: 'end', at: to },
  ];
}

function fault(kind: Fault['kind'], target: Fault['target'], from: number, to = from, pid = 0): Fault {
  return { kind, target, pid, from, to };
}

/** A history of one job that ended well, and what differs from it. */
function history(more: Partial<History> = {}): History {
  return {
    seed: 1,
    slots: 4,
    slotsOfProcess: 2,
    fsyncAlways: false,
    loadEndedAt: 5000,
    submitted: 1,
    jobs: [job()],
    executions: ran(1100, 1200),
    revokes: [],
    sightings: [],
    faults: [],
    comebacks: [],
    ends: [sighting('SUCCESS')],
    residue: { settled: true, healthy: true, keys: [], unfinished: [], processes: [], threads: [], files: [] },
    ...more,
  };
}

function rules(more: Partial<History>): Rule[] {
  return check(history(more)).violations.map(({ rule }) => rule);
}

it('finds nothing wrong with a job that ended well', () => {
  expect(rules({})).toEqual([]);
});

describe('an acknowledged job', () => {
  it('must be there in the end', () => {
    expect(rules({ ends: [sighting('MISSING')] })).toEqual(['missing']);
  });

  it('must be there in between', () => {
    expect(rules({ sightings: [sighting('MISSING', { sentAt: 1020, answeredAt: 1030 })] })).toEqual(['missing']);
  });

  it('may go with a Redis that is killed right after, and is counted', () => {
    const gone = { ends: [sighting('MISSING')], faults: [fault('kill', 'redis', 2500)] };
    expect(rules(gone)).toEqual([]);
    expect(check(history(gone)).excused).toEqual([ID]);
  });

  it('may not go with a Redis that is killed later, or paused, or that writes before it answers', () => {
    const ends = [sighting('MISSING')];
    expect(rules({ ends, faults: [fault('kill', 'redis', 3500)] })).toEqual(['missing']);
    expect(rules({ ends, faults: [fault('pause', 'redis', 2500)] })).toEqual(['missing']);
    expect(rules({ ends, faults: [fault('kill', 'redis', 2500)], fsyncAlways: true })).toEqual(['missing']);
  });

  it('must come to an end', () => {
    expect(rules({ ends: [sighting('STARTED')] })).toEqual(['unfinished']);
    expect(rules({ ends: [] })).toEqual(['unfinished']);
  });

  it('must end as its task says', () => {
    expect(rules({ ends: [sighting('FAILURE', { result: '"Error: boom"' })] })).toEqual(['outcome']);
  });

  it('may be given up as lost only after two faults', () => {
    const ends = [sighting('FAILURE', { result: '"ConsumerLost(2): …"' })];
    expect(rules({ ends, faults: [fault('kill', 'consumer', 1150)] })).toEqual(['outcome']);
    expect(rules({ ends, faults: [fault('kill', 'consumer', 1150), fault('kill', 'consumer', 3000)] })).toEqual([]);
  });

  it('may reach its limit in a frozen consumer, and in no other', () => {
    const ends = [sighting('FAILURE', { result: '"TimeLimitExceeded(4)"' })];
    expect(rules({ ends, faults: [fault('pause', 'consumer', 1150, 4000, FIRST + 1)] })).toEqual(['outcome']);
    expect(rules({ ends, faults: [fault('pause', 'consumer', 1150, 4000, FIRST)] })).toEqual([]);
    // Frozen before the task's first line, which comes when it goes on.
    expect(rules({ ends, faults: [fault('pause', 'consumer', 900, 1099, FIRST)] })).toEqual([]);
    expect(rules({ ends, faults: [fault('pause', 'consumer', -9000, -8000, FIRST)] })).toEqual(['outcome']);
    // Frozen for good: nobody knows in which consumer.
    expect(rules({ ends, executions: [], faults: [fault('pause', 'consumer', 1150, 4000, FIRST + 1)] })).toEqual([]);
    expect(rules({ ends, executions: [], faults: [fault('pause', 'api', 1150, 4000, 9)] })).toEqual(['outcome']);
  });

  it('may be REVOKED only if somebody asked for it', () => {
    expect(rules({ ends: [sighting('REVOKED')] })).toEqual(['outcome']);
    const unanswered = { id: ID, sentAt: 1050, answeredAt: Number.MAX_SAFE_INTEGER, message: '' };
    expect(rules({ ends: [sighting('REVOKED')], revokes: [unanswered] })).toEqual([]);
  });
});

describe('an end', () => {
  const seen = sighting('SUCCESS', { sentAt: 1300, answeredAt: 1310 });

  it('is never taken back', () => {
    expect(rules({ sightings: [seen, sighting('STARTED', { sentAt: 1400, answeredAt: 1410 })] })).toEqual(['changed']);
  });

  it('never gets another result', () => {
    expect(rules({ sightings: [{ ...seen, result: '{"id":"another"}' }] })).toEqual(['changed']);
  });

  it('may be forgotten by a killed Redis, and by nothing else', () => {
    const sightings = [seen, sighting('STARTED', { sentAt: 2400, answeredAt: 2410 })];
    expect(rules({ sightings, faults: [fault('kill', 'redis', 2000)] })).toEqual([]);
    expect(rules({ sightings, faults: [fault('kill', 'consumer', 2000)] })).toEqual(['changed']);
  });

  it('is not contradicted by an answer that was under way before it', () => {
    expect(rules({ sightings: [seen, sighting('STARTED', { sentAt: 1290, answeredAt: 1400 })] })).toEqual([]);
  });
});

describe('starts', () => {
  const twice = [...ran(1100, 1200), ...ran(1300, 1400)];

  it('are as many as tries, and no more', () => {
    expect(rules({ executions: twice })).toEqual(['starts']);
  });

  it('count for jobs too that were never acknowledged', () => {
    expect(rules({ jobs: [], ends: [], executions: twice })).toEqual(['starts']);
  });

  it('may be one more after the loss of a consumer, not two', () => {
    const faults = [fault('kill', 'consumer', 1150)];
    expect(rules({ executions: twice, faults })).toEqual([]);
    expect(rules({ executions: [...twice, ...ran(1500, 1600)], faults: [...faults, fault('kill', 'consumer', 1450)] })).toEqual(['starts']);
  });

  it('are not explained by a fault that costs no consumer', () => {
    expect(rules({ executions: twice, faults: [fault('kill', 'api', 1150), fault('forget', 'redis', 1160)] })).toEqual(['starts']);
  });

  it('are not explained by a recovery for which there was no reason', () => {
    expect(rules({ executions: twice, comebacks: [{ event: 'job.recovered', id: ID, at: 1250 }] })).toEqual(['starts']);
  });

  it('are explained by a job that was handed back', () => {
    expect(rules({ executions: twice, comebacks: [{ event: 'job.handed_back', id: ID, at: 1250 }] })).toEqual([]);
  });

  it('may be as many as a task has retries and one', () => {
    const id = `chaos-fails_first-${uuid}`;
    const tries = [1, 2, 3, 4].map((attempt) => ran(1000 + 300 * attempt, 1001 + 300 * attempt, { id, task: 'fails_first', attempt }));
    const end = sighting('FAILURE', { id, result: '"Error: a planned failure"' });
    const facts = { jobs: [job({ id, task: 'fails_first', failures: 3 })], ends: [end] };
    expect(rules({ ...facts, executions: tries.slice(0, 3).flat() })).toEqual([]);
    expect(rules({ ...facts, executions: tries.flat() })).toEqual(['starts']);
  });
});

describe('a revoke', () => {
  const pending = { id: ID, sentAt: 1040, answeredAt: 1050, message: 'task is still pending, will revoked later' };
  const started = { ...pending, message: 'task started, revoking now' };

  it('of a waiting job keeps it from starting', () => {
    expect(rules({ revokes: [pending], ends: [sighting('REVOKED')] })).toEqual(['revoked']);
    expect(rules({ revokes: [pending], ends: [sighting('REVOKED')], executions: [] })).toEqual([]);
  });

  it('of a job between two tries keeps it from starting again', () => {
    const retrying = { ...pending, answeredAt: 1250, message: 'task retrying, revoking now' };
    expect(rules({ revokes: [retrying], ends: [sighting('REVOKED')] })).toEqual([]);
    const again = [...ran(1100, 1200), ...ran(1300, 1400)];
    expect(rules({ revokes: [retrying], ends: [sighting('REVOKED')], executions: again, faults: [fault('cut', 'redis', 1150)] })).toEqual([
      'revoked',
    ]);
  });

  it('that was answered holds', () => {
    expect(rules({ revokes: [started] })).toEqual(['revoked']);
    expect(rules({ revokes: [started], ends: [sighting('REVOKED')] })).toEqual([]);
  });

  it('of an ended job changes nothing', () => {
    expect(rules({ revokes: [{ ...pending, answeredAt: 1300, message: 'task ended or revoked already' }] })).toEqual([]);
  });

  it('may go with a killed Redis', () => {
    expect(rules({ revokes: [pending], faults: [fault('kill', 'redis', 1060)] })).toEqual([]);
  });
});

describe('slots', () => {
  const many = (count: number, owner: (index: number) => number) =>
    Array.from({ length: count }, (_, index) => ran(1100, 1200, { id: `${ID.slice(0, -1)}${index + 1}`, owner: owner(index) })).flat();

  it('of a node are never exceeded', () => {
    expect(rules({ executions: many(4, (index) => index % 2) })).toEqual([]);
    expect(rules({ executions: many(5, (index) => index % 3) })).toEqual(['cap']);
  });

  it('of a consumer are never exceeded', () => {
    expect(rules({ executions: many(3, () => FIRST) })).toEqual(['cap']);
  });

  it('are counted only where no consumer was killed', () => {
    expect(rules({ executions: many(5, (index) => index % 3), faults: [fault('kill', 'consumer', 1150, 1150, FIRST)] })).toEqual([]);
  });

  it('are free again when a job ends', () => {
    expect(rules({ executions: [...many(2, () => FIRST), ...ran(1200, 1300, { id: `${ID}0` })] })).toEqual([]);
  });
});

describe('places', () => {
  const three = (task: string, key?: string) =>
    [1, 2, 3].flatMap((index) => ran(1100, 1200, { id: `chaos-${task}-${index}`, task, owner: index, ...(key !== undefined && { key }) }));

  it('of a key are never exceeded', () => {
    expect(rules({ executions: three('keyed', 'red') })).toEqual(['places']);
  });

  it('of a task are never exceeded', () => {
    expect(rules({ executions: three('two_at_once') })).toEqual(['places']);
  });

  it('are counted only where nothing disturbed a job and its lease', () => {
    expect(rules({ executions: three('keyed', 'red'), faults: [fault('pause', 'redis', 1000, 1150)] })).toEqual([]);
    expect(rules({ executions: three('keyed', 'red'), faults: [fault('pause', 'consumer', 1000, 1150, 2)] })).toEqual([]);
    expect(rules({ executions: three('keyed', 'red'), faults: [fault('pause', 'consumer', 1000, 1150, 9)] })).toEqual(['places']);
  });
});

describe('in the end', () => {
  it('jobs go on within 15 s of every fault that leaves them the time', () => {
    const quiet = { faults: [fault('kill', 'consumer', 1300)], loadEndedAt: 20_000 };
    expect(rules(quiet)).toEqual(['progress']);
    expect(rules({ ...quiet, faults: [...quiet.faults, fault('kill', 'redis', 9000)] })).toEqual([]);
    expect(rules({ ...quiet, executions: [...ran(1100, 1200), ...ran(16_000, 16_100, { id: `${ID}0` })] })).toEqual([]);
  });

  it.each([
    { settled: false },
    { healthy: false },
    { keys: ['fasttask:{keyed}:places:red'] },
    { unfinished: [ID] },
    { processes: ['17 node task-process.js'] },
    { threads: ['consumer 17 has 40 threads'] },
    { files: ['upload.part'] },
  ])('nothing is left behind: %o', (left) => {
    expect(rules({ residue: { ...history().residue, ...left } })).toEqual(['residue']);
  });
});
