/** Checks a history against the promises of the design. Knows nothing of how the run was made. */
import type { Acknowledged, DiaryLine, History } from './history.ts';

const FINAL = ['SUCCESS', 'FAILURE', 'REVOKED'];

/** Starts that a task's own retries allow. */
const TRIES: Record<Acknowledged['task'], number> = { waits: 1, limited: 1, isolated: 1, spins: 1, fails: 3, exits: 1 };

/** A job may lose its consumer once and run again; the second loss convicts it. */
const LOSSES = 1;

/** What Redis may forget when it is killed: everysec writes once a second, and waits a second more when the disk is slow. */
const FORGOTTEN_MS = 2000;

/** Longest time in which no job starts although there is work and no fault is under way. */
const IDLE_MS = 15_000;

/** The violations of a history, as sentences; none if all promises were kept. */
export function violationsOf(history: History): string[] {
  return [
    ...missing(history),
    ...unfinished(history),
    ...changedEnds(history),
    ...startedTooOften(history),
    ...startedAfterRevoke(history),
    ...tooManyAtOnce(history),
    ...standstills(history),
    ...history.leftovers.map((what) => `left over: ${what}`),
  ];
}

/** The kills of Redis that may have made it forget something that happened between two moments. */
function forgetfulKills({ faults, aofAlways }: History, fromMs: number, toMs: number): number {
  if (aofAlways) return 0;
  const kills = faults.filter(({ kind, target }) => kind === 'kill' && target === 'redis');
  return kills.filter((kill) => kill.fromMs >= fromMs && kill.fromMs - FORGOTTEN_MS <= toMs).length;
}

function missing(history: History): string[] {
  const submitted = new Map(history.acknowledged.map((job) => [job.id, job]));
  return history.finals
    .filter(
      ({ id, state }) => state === 'missing' && forgetfulKills(history, submitted.get(id)?.sentMs ?? 0, submitted.get(id)?.atMs ?? 0) === 0,
    )
    .map(({ id }) => `acknowledged and gone: ${id}`);
}

function unfinished({ finals }: History): string[] {
  return finals
    .filter(({ state }) => state !== 'missing' && !FINAL.includes(state))
    .map(({ id, state }) => `never ended: ${id} is ${state}`);
}

function changedEnds(history: History): string[] {
  const ends = new Map<string, { state: string; atMs: number }>();
  const violations: string[] = [];
  for (const { id, state, atMs } of [...history.observations, ...history.finals]) {
    const end = ends.get(id);
    if (end === undefined && FINAL.includes(state)) ends.set(id, { state, atMs });
    if (end === undefined || end.state === state) continue;
    // The end itself may be what Redis forgot; it was written at some moment before it was seen.
    if (forgetfulKills(history, end.atMs - IDLE_MS, end.atMs) === 0)
      violations.push(`changed its end: ${id} was ${end.state}, is ${state}`);
  }
  return violations;
}

function startedTooOften(history: History): string[] {
  const starts = startsById(history.diary);
  return history.acknowledged.flatMap(({ id, task, sentMs }) => {
    const times = starts.get(id) ?? [];
    const forgotten = forgetfulKills(history, sentMs, Math.max(sentMs, ...times));
    const allowed = TRIES[task] + LOSSES + (history.handedBack[id] ?? 0) + forgotten;
    return times.length > allowed ? [`started ${times.length} times, at most ${allowed} allowed: ${id}`] : [];
  });
}

function startedAfterRevoke(history: History): string[] {
  const starts = startsById(history.diary);
  return history.revokes.flatMap(({ id, message, atMs }) => {
    if (!message.includes('pending') || forgetfulKills(history, atMs - FORGOTTEN_MS, atMs) > 0) return [];
    const late = (starts.get(id) ?? []).filter((start) => start > atMs);
    return late.length > 0 ? [`started ${Math.round((late[0] ?? 0) - atMs)} ms after its revoke: ${id}`] : [];
  });
}

/** Only jobs that ran once, undisturbed, count: so an alarm is never false. */
function tooManyAtOnce(history: History): string[] {
  const intervals = undisturbed(history);
  const keyed = new Map(history.acknowledged.map(({ id, key }) => [id, key]));
  const tasks = new Map(history.acknowledged.map(({ id, task }) => [id, task]));
  const keys = [...new Set([...keyed.values()].filter((key) => key !== undefined))];
  const groups: [string, number, Interval[]][] = [
    ['of the node', history.concurrency, intervals],
    ['of the task limited', 2, intervals.filter(({ id }) => tasks.get(id) === 'limited')],
    ...keys.map((key): [string, number, Interval[]] => [`of the key ${key}`, 2, intervals.filter(({ id }) => keyed.get(id) === key)]),
  ];
  return groups.flatMap(([what, most, group]) => {
    const seen = mostAtOnce(group);
    return seen > most ? [`${seen} jobs ${what} ran at once, at most ${most} may`] : [];
  });
}

interface Interval {
  id: string;
  fromMs: number;
  toMs: number;
}

function undisturbed(history: History): Interval[] {
  const lines = new Map<string, DiaryLine[]>();
  for (const line of history.diary) lines.set(line.id, [...(lines.get(line.id) ?? []), line]);
  return [...lines].flatMap(([id, [start, end, ...more]]) => {
    if (start?.event !== 'start' || end?.event !== 'end' || more.length > 0 || start.pid !== end.pid) return [];
    const disturbed = history.faults.some(({ fromMs, toMs }) => fromMs - FORGOTTEN_MS <= end.atMs && toMs + FORGOTTEN_MS >= start.atMs);
    return disturbed ? [] : [{ id, fromMs: start.atMs, toMs: end.atMs }];
  });
}

function mostAtOnce(intervals: readonly Interval[]): number {
  const steps = intervals
    .flatMap(({ fromMs, toMs }) => [
      { at: fromMs, by: 1 },
      { at: toMs, by: -1 },
    ])
    .sort((a, b) => a.at - b.at || a.by - b.by);
  let running = 0;
  let most = 0;
  for (const { by } of steps) {
    running += by;
    most = Math.max(most, running);
  }
  return most;
}

/** While jobs are submitted all the time, some must start all the time, except while a fault lasts. */
function standstills({ diary, faults, loadEndedMs }: History): string[] {
  const starts = diary.filter(({ event }) => event === 'start').map(({ atMs }) => atMs);
  const moments = [...starts, ...faults.map(({ toMs }) => toMs)].filter((at) => at <= loadEndedMs).sort((a, b) => a - b);
  return moments.flatMap((at, index) => {
    const gap = (moments[index + 1] ?? at) - at;
    return gap > IDLE_MS && !faults.some(({ fromMs, toMs }) => fromMs < at + gap && toMs > at)
      ? [`nothing started for ${Math.round(gap)} ms`]
      : [];
  });
}

function startsById(diary: readonly DiaryLine[]): Map<string, number[]> {
  const starts = new Map<string, number[]>();
  for (const { event, id, atMs } of diary) if (event === 'start') starts.set(id, [...(starts.get(id) ?? []), atMs]);
  return starts;
}
