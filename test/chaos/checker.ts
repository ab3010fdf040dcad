/**
 * Judges a history by the promises of the design. Where a fault explains what is seen, it is no violation: a check that cannot be
 * sure says nothing, so that whatever it says is worth a look.
 */
import type { AcknowledgedJob, Fault, History, Sighting } from './history.ts';
import { firstExcess, type Interval, intervalsOf, isTouched } from './overlaps.ts';
import { AT_ONCE, kindOf } from './workload.ts';

export type Rule = 'missing' | 'unfinished' | 'changed' | 'outcome' | 'starts' | 'revoked' | 'cap' | 'places' | 'residue' | 'progress';

export interface Violation {
  rule: Rule;
  /** The jobs that it is about. */
  ids: string[];
  text: string;
}

export interface Verdict {
  violations: Violation[];
  /** Jobs that a kill of Redis excuses from being there. */
  excused: string[];
}

/** A Redis that writes to its disk every second may lose what it was told this long before its kill, in milliseconds. */
const UNSAVED_MS = 2000;

/** Answers that Redis gave before its kill may be read this much later, in milliseconds. */
const LATE_READ_MS = 1000;

/** A job that was frozen before its first line writes it within this time after the freeze, in milliseconds. */
const THAWED_MS = 1000;

/** A consumer that lost its jobs is noticed within this time, in milliseconds (promise 5). */
const HEALED_MS = 15_000;

/** Checks every promise. */
export function check(history: History): Verdict {
  const facts = new Facts(history);
  const violations = [
    ...missing(facts),
    ...unfinished(facts),
    ...changed(facts),
    ...outcomes(facts),
    ...starts(facts),
    ...revoked(facts),
    ...overCap(facts),
    ...overPlaces(facts),
    ...progress(facts),
    ...residue(facts),
  ];
  return {
    violations,
    excused: absentees(facts)
      .filter((job) => facts.mayBeUnsaved(job.acknowledgedAt))
      .map(({ id }) => id),
  };
}

/** A history with what several checks ask of it. */
class Facts {
  readonly history: History;
  readonly intervals: readonly Interval[];
  readonly ends: ReadonlyMap<string, Sighting>;
  readonly startsOf: ReadonlyMap<string, History['executions']>;

  constructor(history: History) {
    this.history = history;
    this.intervals = intervalsOf(history.executions);
    this.ends = new Map(history.ends.map((end) => [end.id, end]));
    this.startsOf = groupedById(history.executions.filter(({ event }) => event === 'start'));
  }

  /** Whether what Redis was told at this time may have gone with it. */
  mayBeUnsaved(at: number): boolean {
    return this.unsavedKills(at, at) > 0;
  }

  /** Kills of Redis that may have undone something of the time between. */
  unsavedKills(from: number, to: number): number {
    if (this.history.fsyncAlways) return 0;
    return this.history.faults.filter(
      (fault) => fault.kind === 'kill' && fault.target === 'redis' && to >= fault.from - UNSAVED_MS && from <= fault.from + LATE_READ_MS,
    ).length;
  }

  /** Faults that may have cost a consumer the locks of its jobs. */
  losses(from: number, to: number): Fault[] {
    return this.history.faults.filter((fault) => costsLocks(fault) && fault.from <= to && fault.to + HEALED_MS >= from);
  }
}

function costsLocks({ kind, target }: Fault): boolean {
  return target !== 'api' && kind !== 'forget';
}

function absentees({ history, ends }: Facts): AcknowledgedJob[] {
  return history.jobs.filter(({ id }) => ends.get(id)?.state === 'MISSING');
}

/** Promise 1: what was acknowledged is there. */
function missing(facts: Facts): Violation[] {
  const acknowledged = new Map(facts.history.jobs.map((job) => [job.id, job]));
  const gone = facts.history.sightings.filter(({ state }) => state === 'MISSING').flatMap(({ id }) => acknowledged.get(id) ?? []);
  const all = new Set([...absentees(facts), ...gone]);
  return [...all]
    .filter((job) => !facts.mayBeUnsaved(job.acknowledgedAt))
    .map(({ id }) => violation('missing', [id], 'was acknowledged, and a check answered 404'));
}

/** Promise 1: it came to an end. */
function unfinished({ history, ends }: Facts): Violation[] {
  return history.jobs
    .map(({ id }) => ({ id, state: ends.get(id)?.state ?? 'never looked at' }))
    .filter(({ state }) => state !== 'MISSING' && !isFinal(state))
    .map(({ id, state }) => violation('unfinished', [id], `is ${state} after everything has come to rest`));
}

/** An end is one end: what was seen as final is never seen otherwise. */
function changed(facts: Facts): Violation[] {
  const all = groupedById([...facts.history.sightings, ...facts.history.ends]);
  return [...all].flatMap(([id, sightings]) => {
    const inOrder = [...sightings].sort((a, b) => a.answeredAt - b.answeredAt);
    const first = inOrder.find(({ state }) => isFinal(state));
    const other = first && inOrder.find((seen) => seen.sentAt >= first.answeredAt && told(seen) !== told(first));
    if (first === undefined || other === undefined || facts.mayBeUnsaved(first.answeredAt)) return [];
    return [violation('changed', [id], `was ${told(first)} at ${first.answeredAt}, and ${told(other)} at ${other.answeredAt}`)];
  });
}

/** A job ends as its task says, unless a revoke or a fault explains another end. */
function outcomes(facts: Facts): Violation[] {
  return facts.history.jobs.flatMap((job) => {
    const end = facts.ends.get(job.id);
    if (
      end === undefined ||
      !isFinal(end.state) ||
      kindOf(job.task)
        .endsAs(job.failures ?? 0)
        .test(told(end))
    )
      return [];
    return explained(facts, job, end) ? [] : [violation('outcome', [job.id], `ended as ${told(end).slice(0, 200)}`)];
  });
}

function explained(facts: Facts, job: AcknowledgedJob, end: Sighting): boolean {
  const { faults, revokes } = facts.history;
  if (end.state === 'REVOKED') return revokes.some(({ id }) => id === job.id);
  if (/^"ConsumerLost\(/.test(end.result)) return facts.losses(job.sentAt, end.answeredAt).length >= 2;
  // The limits of a job in a frozen consumer are looked at when it goes on.
  if (!/TimeLimitExceeded/.test(end.result)) return false;
  const own = facts.startsOf.get(job.id) ?? [];
  const frozen = faults.filter(({ kind, target }) => kind === 'pause' && target === 'consumer');
  // Its time counts from before the first line of its own: it may have been frozen in between.
  if (own.length === 0) return frozen.some(({ from, to }) => from <= end.answeredAt && to >= job.sentAt);
  return frozen.some(({ pid, from, to }) => own.some(({ owner, at }) => owner === pid && at <= to + THAWED_MS && at >= from - HEALED_MS));
}

/** Promise 4: no more starts than tries and lost consumers explain. Jobs that were never acknowledged count too. */
function starts(facts: Facts): Violation[] {
  const comebacks = groupedById(facts.history.comebacks);
  return [...facts.startsOf].flatMap(([id, own]) => {
    const [first, last] = [Math.min(...own.map(({ at }) => at)), Math.max(...own.map(({ at }) => at))];
    const handedBack = (comebacks.get(id) ?? []).filter(({ event }) => event === 'job.handed_back').length;
    const lost = Math.min(1, facts.losses(first, last).length);
    const allowed = 1 + kindOf(own[0]?.task ?? '').retries + handedBack + lost + facts.unsavedKills(first, last);
    if (own.length <= allowed) return [];
    return [violation('starts', [id], `started ${own.length} times, ${allowed} are explained (${handedBack} handed back, ${lost} lost)`)];
  });
}

const NOT_RUNNING = /pending|retrying/;
const EFFECTIVE = /pending|started|retrying/;

/** Promise 3: what was revoked before it ran never runs, and what was revoked stays so. */
function revoked(facts: Facts): Violation[] {
  return facts.history.revokes.flatMap(({ id, answeredAt, message }) => {
    if (!EFFECTIVE.test(message) || message.includes('ended') || facts.mayBeUnsaved(answeredAt)) return [];
    const found: Violation[] = [];
    const late = (facts.startsOf.get(id) ?? []).find(({ at }) => at > answeredAt);
    if (NOT_RUNNING.test(message) && late !== undefined)
      found.push(violation('revoked', [id], `started ${(late.at - answeredAt).toFixed(1)} ms after the answer "${message}"`));
    const end = facts.ends.get(id);
    if (end !== undefined && isFinal(end.state) && end.state !== 'REVOKED')
      found.push(violation('revoked', [id], `was revoked ("${message}") and ended as ${told(end).slice(0, 200)}`));
    return found;
  });
}

/** A node and each of its consumers run no more jobs at once than they have slots. */
function overCap({ history, intervals }: Facts): Violation[] {
  // The child process of a killed consumer may outlive it for a moment.
  const ended = history.faults.filter(({ kind, target }) => target === 'consumer' && (kind === 'kill' || kind === 'restart'));
  const sure = intervals.filter((interval) => !ended.some((fault) => isTouched(interval, fault)));
  const owners = [...new Set(sure.map(({ owner }) => owner))];
  return [
    excess('cap', sure, history.slots, 'on the node'),
    ...owners.map((pid) =>
      excess(
        'cap',
        sure.filter(({ owner }) => owner === pid),
        history.slotsOfProcess,
        `in consumer ${pid}`,
      ),
    ),
  ].flat();
}

/** Keyed concurrency, and that of a task. */
function overPlaces({ history, intervals }: Facts): Violation[] {
  const disturbing = history.faults.filter(costsLocks);
  const sure = intervals.filter((interval) => !disturbing.some((fault) => concerns(fault, interval) && isTouched(interval, fault)));
  const keys = [...new Set(sure.flatMap(({ key }) => key ?? []))];
  return [
    ...keys.map((key) =>
      excess(
        'places',
        sure.filter((interval) => interval.key === key),
        AT_ONCE,
        `with the key ${key}`,
      ),
    ),
    excess(
      'places',
      sure.filter(({ task }) => task === 'two_at_once'),
      AT_ONCE,
      'of the task two_at_once',
    ),
  ].flat();
}

function concerns({ target, pid }: Fault, { owner }: Interval): boolean {
  return target === 'redis' || pid === 0 || pid === owner;
}

function excess(rule: Rule, intervals: readonly Interval[], most: number, where: string): Violation[] {
  const found = firstExcess(intervals, most);
  if (found.length === 0) return [];
  const times = found.map(({ from, to, owner }) => `${from.toFixed(1)}–${to.toFixed(1)} (${owner})`);
  return [
    violation(
      rule,
      found.map(({ id }) => id),
      `${found.length} jobs at once ${where}, at most ${most} expected: ${times.join(', ')}`,
    ),
  ];
}

/** Promise 5: jobs are started again within 15 s of a fault's end, where the next fault leaves that much time. */
function progress({ history }: Facts): Violation[] {
  const { faults, executions, loadEndedAt } = history;
  return faults.flatMap((fault) => {
    const { kind, target, to } = fault;
    const nextAt = Math.min(loadEndedAt, ...faults.filter((other) => other !== fault && other.from >= to).map(({ from }) => from));
    const goesOn = executions.some(({ event, at }) => event === 'start' && at > to && at <= to + HEALED_MS);
    if (goesOn || nextAt < to + HEALED_MS) return [];
    return [violation('progress', [], `no job started within ${HEALED_MS / 1000} s after ${kind} ${target} ended at ${to}`)];
  });
}

/** Nothing is left behind. */
function residue({ history }: Facts): Violation[] {
  const { settled, healthy, keys, unfinished: hashes, processes, threads, files } = history.residue;
  const found: Violation[] = [];
  if (!settled) found.push(violation('residue', [], 'the queues did not run empty in time'));
  if (!healthy) found.push(violation('residue', [], 'a fresh job did not succeed'));
  for (const [what, list] of Object.entries({ keys, processes, threads, files }))
    if (list.length > 0) found.push(violation('residue', [], `${what} left behind: ${list.slice(0, 20).join(', ')}`));
  if (hashes.length > 0) found.push(violation('residue', hashes.slice(0, 20), `${hashes.length} jobs in Redis have no end`));
  return found;
}

function violation(rule: Rule, ids: string[], text: string): Violation {
  return { rule, ids, text };
}

function isFinal(state: string): boolean {
  return state === 'SUCCESS' || state === 'FAILURE' || state === 'REVOKED';
}

function told({ state, result }: Sighting): string {
  return `${state} ${result}`;
}

function groupedById<T extends { id: string }>(list: readonly T[]): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of list) {
    const group = groups.get(item.id);
    if (group === undefined) groups.set(item.id, [item]);
    else group.push(item);
  }
  return groups;
}
