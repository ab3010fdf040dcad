/** Runs around every integration and e2e test file: what the file opened must be closed when it ends. */
import type { Worker } from 'node:worker_threads';
import { afterAll } from 'vitest';
import { closeClients } from './https.ts';
import { type Leftover, leftovers } from './leaks.ts';
import { removeTempDirs } from './temp.ts';
import { until } from './until.ts';

/** What was asked to end just before the last test finished may need this long. */
const GRACE_MS = 2_000;

const threads = new Set<Worker>();
process.on('worker', (thread) => {
  threads.add(thread);
  thread.once('exit', () => threads.delete(thread));
});

afterAll(async () => {
  await closeClients();
  let left: Leftover[] = [];
  let open: string[] = [];
  await until(
    () => {
      left = leftovers();
      open = openHere();
      return left.length + open.length === 0;
    },
    { what: 'everything to be closed', timeoutMs: GRACE_MS },
  ).catch(() => undefined);
  for (const { pid } of left) kill(pid);
  removeTempDirs();
  if (left.length > 0)
    throw new Error(`processes left running by this file:\n${left.map(({ pid, command }) => `  ${pid} ${command}`).join('\n')}`);
  if (open.length > 0) throw new Error(`left open by this file: ${open.join(', ')}`);
});

/** Connections, servers and threads of this process, by kind. */
function openHere(): string[] {
  const sockets = process.getActiveResourcesInfo().filter((kind) => kind.startsWith('TCP'));
  return [...sockets, ...Array.from(threads, ({ threadId }) => `thread ${threadId}`)];
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself in between.
  }
}
