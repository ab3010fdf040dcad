/** A thread inside a child process, beside the task: it works also while the task's own thread never waits. */
import { workerData } from 'node:worker_threads';
import { Request, type SlotBuffers, Slots } from './slots.ts';

export interface WatcherSettings {
  slots: SlotBuffers;
  /** The consumer's pid. */
  parent: number;
  softSeconds: number;
}

/** How often it looks whether the consumer lives, in milliseconds. */
const LOOK_MS = 250;

const { slots, parent, softSeconds }: WatcherSettings = workerData;
const shared = new Slots(slots);

setTimeout(() => shared.request(0, Request.softStop), Math.min(softSeconds * 1000, 2 ** 31 - 1));
setInterval(() => {
  // A process whose parent died belongs to another one: nobody would take the result, and nobody enforces the limit.
  if (process.ppid !== parent) process.kill(-process.pid, 'SIGKILL');
}, LOOK_MS);
