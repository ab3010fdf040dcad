import { randomFillSync } from 'node:crypto';
import { v7, validate } from 'uuid';
import { taskNamePattern } from './config-validators.ts';

/** The parts of a job id `<running id>-<task>-<uuid>`. */
export interface JobId {
  task: string;
  uuid: string;
}

const UUID_LENGTH = 36;

/** Bytes of one uuid. */
const UUID_BYTES = 16;

/** Random bytes for many ids: fetching them from the system for each one costs more than all the rest of it. */
const random = Buffer.alloc(UUID_BYTES * 256);
let used = random.length;

/** The time and the number within it that the last id carries. */
let last = { time: 0, sequence: 0 };

/** A new id for a job of `task`. The uuid is version 7 (RFC 9562): ids of one process sort in the order in which they were made. */
export function newJobId(runningId: string, task: string): string {
  if (used === random.length) {
    randomFillSync(random);
    used = 0;
  }
  const bytes = random.subarray(used, used + UUID_BYTES);
  used += UUID_BYTES;
  const time = Date.now();
  // A clock that was set back must not bring ids back. Starting in the lower half leaves room for two thousand million more.
  last = time > last.time ? { time, sequence: bytes.readUInt32BE() >>> 1 } : { time: last.time, sequence: last.sequence + 1 };
  return `${runningId}-${task}-${v7({ random: bytes, msecs: last.time, seq: last.sequence })}`;
}

/** Whether an id was made under this running id at all; others belong to another installation. */
export function isOfRunningId(id: string, runningId: string): boolean {
  return id.startsWith(`${runningId}-`);
}

/** The parts of an id, matched whole, or undefined when it is not one of this running id. */
export function parseJobId(id: string, runningId: string): JobId | undefined {
  if (!isOfRunningId(id, runningId)) return undefined;
  const rest = id.slice(runningId.length + 1);
  const uuid = rest.slice(-UUID_LENGTH);
  const task = rest.slice(0, -UUID_LENGTH - 1);
  const whole = rest.at(-UUID_LENGTH - 1) === '-' && validate(uuid) && uuid === uuid.toLowerCase() && taskNamePattern.test(task);
  return whole ? { task, uuid } : undefined;
}
