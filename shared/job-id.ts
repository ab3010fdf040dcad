import { v7, validate } from 'uuid';
import { taskNamePattern } from './config-validators.ts';

/** The parts of a job id `<running id>-<task>-<uuid>`. */
export interface JobId {
  task: string;
  uuid: string;
}

const UUID_LENGTH = 36;

/** A new id for a job of `task`. The uuid is version 7 (RFC 9562), so ids of one task sort by time. */
export function newJobId(runningId: string, task: string): string {
  return `${runningId}-${task}-${v7()}`;
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
