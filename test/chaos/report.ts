import type { Verdict, Violation } from './checker.ts';
import type { History } from './history.ts';

/** Violations told in full; the rest are counted. */
const TOLD = 10;

/** Prints a run's outcome, and of each violation what is needed to understand it. */
export function report(history: History, { violations, excused }: Verdict, say: (line: string) => void): void {
  const { seed, submitted, jobs, faults, executions, revokes } = history;
  const starts = executions.filter(({ event }) => event === 'start').length;
  say(
    `seed ${seed}: ${submitted} submitted, ${jobs.length} acknowledged, ${faults.length} faults, ${violations.length} violations` +
      ` (${starts} starts, ${revokes.length} revokes, ${excused.length} lost with a kill of Redis)`,
  );
  for (const violation of violations.slice(0, TOLD)) tell(history, violation, say);
  if (violations.length > TOLD) say(`  … and ${violations.length - TOLD} more: ${countsOf(violations)}`);
}

function tell(history: History, { rule, ids, text }: Violation, say: (line: string) => void): void {
  say(`  ${rule}: ${ids.join(', ')} ${text}`);
  for (const id of ids.slice(0, 4)) for (const line of storyOf(history, id)) say(`    ${line}`);
}

/** Everything that is known of a job, in order, with the faults around it. */
function storyOf({ jobs, executions, revokes, sightings, comebacks, ends, faults }: History, id: string): string[] {
  const events: { at: number; text: string }[] = [];
  const add = (at: number, text: string) => events.push({ at, text });
  for (const job of jobs.filter((one) => one.id === id)) {
    add(job.sentAt, `${id} sent`);
    add(job.acknowledgedAt, 'acknowledged');
  }
  for (const { at, event, attempt, owner } of executions.filter((one) => one.id === id))
    add(at, `${event}, attempt ${attempt}, consumer ${owner}`);
  for (const { answeredAt, sentAt, message } of revokes.filter((one) => one.id === id)) {
    add(sentAt, 'revoke sent');
    if (message !== '') add(answeredAt, `revoke answered: ${message}`);
  }
  for (const { answeredAt, state, result } of [...sightings, ...ends].filter((one) => one.id === id)) {
    add(answeredAt, `seen as ${state} ${result.slice(0, 120)}`);
  }
  for (const { at, event } of comebacks.filter((one) => one.id === id)) add(at, event);
  const [first, last] = [Math.min(...events.map(({ at }) => at)), Math.max(...events.map(({ at }) => at))];
  for (const { kind, target, pid, from, to } of faults.filter((fault) => fault.to >= first - 3000 && fault.from <= last)) {
    add(from, `! ${kind} ${target} ${pid} begins`);
    add(to, `! ${kind} ${target} ${pid} is over`);
  }
  return events.sort((a, b) => a.at - b.at).map(({ at, text }) => `${at.toFixed(1)} ${text}`);
}

function countsOf(violations: readonly Violation[]): string {
  const rules = [...new Set(violations.map(({ rule }) => rule))];
  return rules.map((rule) => `${violations.filter((one) => one.rule === rule).length} ${rule}`).join(', ');
}
