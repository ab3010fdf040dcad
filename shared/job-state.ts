/**
 * A job's state, read from its hash with one HMGET and never from a list (lists take longer the more jobs wait).
 *
 *   PENDING → STARTED → SUCCESS | FAILURE | REVOKED
 *                ↓ ↑
 *               RETRY            REVOKED may follow PENDING, STARTED and RETRY; an ended job keeps its state.
 *
 * A job that a consumer hands back, or loses, is PENDING again after STARTED.
 */

export type JobState = 'PENDING' | 'STARTED' | 'RETRY' | 'SUCCESS' | 'FAILURE' | 'REVOKED';

/** What a client may see of a job. */
export interface JobView {
  state: JobState;
  /** The result as JSON text, ready to be sent: an object for SUCCESS, a text otherwise. */
  resultJson: string;
  /** The account that it belongs to; undefined: nobody, or not told. Never sent to a client. */
  owner?: string;
  /** JSON text of the last `ctx.progress(value)`; only while the job has not ended. */
  progressJson?: string;
}

/** The fields of BullMQ's job hash that a state follows from, in the order of `HMGET`. */
export const stateFields = [
  'timestamp',
  'finishedOn',
  'returnvalue',
  'failedReason',
  'defa',
  'atm',
  'ats',
  'pb',
  'progress',
  'held',
  'name',
] as const;

/** The values of `stateFields` in their order; null or false where there is none. */
export type JobFields = readonly (string | null | false)[];

/** `failedReason` of a revoked job; no error text looks like it, because those have a space behind the colon. */
export const REVOKED_WAITING = 'fasttask:revoked';
export const REVOKED_RUNNING = 'fasttask:terminated';

/**
 * What a consumer writes as `processedBy` when it takes a job: its name, and for how many seconds its results are kept.
 * So the expiry of a result is stamped by the node that finished it, at no extra command.
 */
export function consumerStamp(consumer: string, resultExpiresSeconds: number): string {
  return `${consumer};${resultExpiresSeconds}`;
}

function parseStamp(stamp: JobFields[number] | undefined, resultExpiresSeconds: number): { consumer: string; expiresSeconds: number } {
  const at = stamp ? stamp.lastIndexOf(';') : -1;
  if (!stamp || at < 0) return { consumer: 'unknown', expiresSeconds: resultExpiresSeconds };
  return { consumer: stamp.slice(0, at), expiresSeconds: Number(stamp.slice(at + 1)) };
}

/**
 * The view of a job, or undefined when there is none or its result has expired.
 * @param values what the job's hash has of `stateFields`
 * @param now milliseconds since 1970
 * @param resultExpiresSeconds used when no consumer has stamped the job
 */
export function viewOf(values: JobFields, now: number, resultExpiresSeconds: number): JobView | undefined {
  const view = stateOf(values, now, resultExpiresSeconds);
  const owner = values[stateFields.indexOf('name')];
  return view === undefined || !owner ? view : { ...view, owner };
}

function stateOf(values: JobFields, now: number, resultExpiresSeconds: number): JobView | undefined {
  const [timestamp, finishedOn, returnvalue, failedReason, defa, atm, ats, pb, progress, held] = values;
  if (!timestamp) return undefined;
  if (finishedOn) {
    const { expiresSeconds } = parseStamp(pb, resultExpiresSeconds);
    if (now >= Number(finishedOn) + expiresSeconds * 1000) return undefined;
    // `failedReason` of an earlier attempt stays behind after a later success: a return value decides.
    if (returnvalue) return { state: 'SUCCESS', resultJson: JSON.parse(returnvalue) };
    if (failedReason === REVOKED_WAITING) return text('REVOKED', 'revoked');
    if (failedReason === REVOKED_RUNNING) return text('REVOKED', 'terminated');
    return text('FAILURE', failedReason || '');
  }
  if (defa === REVOKED_WAITING) return text('REVOKED', 'revoked');
  const started = Number(ats ?? 0);
  const ended = Number(atm ?? 0);
  const waiting = ended > 0 || held ? 'RETRY' : 'PENDING';
  const live = started > ended ? text('STARTED', `running on ${parseStamp(pb, 0).consumer}`) : text(waiting, 'None');
  return progress && progress !== '0' ? { ...live, progressJson: progress } : live;
}

function text(state: JobState, result: string): JobView {
  return { state, resultJson: JSON.stringify(result) };
}

export function hasEnded(state: JobState): boolean {
  return state === 'SUCCESS' || state === 'FAILURE' || state === 'REVOKED';
}
