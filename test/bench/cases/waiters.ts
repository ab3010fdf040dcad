/** What clients that wait for the end of a job cost an API process, beyond what an idle TLS connection costs a bare Node server. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { apiClient } from '../../support/https.ts';
import type { TestProcess } from '../../support/processes.ts';
import { tempDir } from '../../support/temp.ts';
import { submitted, TASK } from '../backlog.ts';
import type { Group } from '../case.ts';
import { inTurn, median } from '../measure.ts';
import { noopTasks } from '../scale-tasks.ts';
import { System } from '../system.ts';
import type { Row } from '../table.ts';

const CLIENTS = 5000;

/** Clients that come and go before the first reading, so that what a process loads once does not count. */
const WARM = 200;

/** A round is a mean over all clients already, and takes half a minute: more than these are not measured. */
const MOST_ROUNDS = 3;

/** A reading of memory is the median of so many looks, with this pause between them in milliseconds. */
const LOOKS = 15;
const LOOK_MS = 100;

const CHECK = 'GET /check, Prefer: wait';
const EVENTS = 'GET /events';

/** Bytes that a client may cost beyond its connection. */
const BAR = 20_000;

export const waiters: Group = {
  cases: {
    waiters: `RSS for each of ${CLIENTS} clients that wait (/check with Prefer: wait, and /events), beyond that of an idle TLS connection of Node`,
  },
  async measure({ rounds }) {
    const system = await System.start();
    try {
      const consumer = await system.consumer({ TASKS_DIR: noopTasks([TASK]) });
      // What is submitted from here on waits for ever.
      await consumer.stop();
      const ids = await submitted(system, CLIENTS);
      const some = Math.min(rounds, MOST_ROUNDS);
      const idle = () => inFloor(system);
      const check = () =>
        inApi(
          system,
          ids.map((id) => `GET /check/${id} HTTP/1.1\r\nhost: bench\r\nprefer: wait=600\r\n\r\n`),
        );
      const events = () =>
        inApi(
          system,
          ids.map((id) => `GET /events?ids=${id} HTTP/1.1\r\nhost: bench\r\n\r\n`),
        );
      if (!(await knowsEvents(system))) {
        const measured = await inTurn(some, { idle, check }, { warm: false });
        const note = 'GET /events is not measured: the API answers 404';
        return [rowOf(CHECK, measured.check, measured.idle), { ...rowOf(EVENTS, [], measured.idle), note }];
      }
      const measured = await inTurn(some, { idle, check, events }, { warm: false });
      return [rowOf(CHECK, measured.check, measured.idle), rowOf(EVENTS, measured.events, measured.idle)];
    } finally {
      await system.stop();
    }
  },
};

function rowOf(what: string, ours: readonly number[], idle: readonly number[]): Row {
  return {
    case: 'waiters',
    what: `${what}, ${CLIENTS} clients`,
    unit: 'bytes each',
    ours,
    floor: { what: 'idle TLS connection', values: idle },
    bar: { of: 'excess', at: 'most', value: BAR },
  };
}

async function knowsEvents(system: System): Promise<boolean> {
  const { origin, process } = await system.api([TASK]);
  const { status } = await apiClient(origin).get('/events');
  await process.kill9();
  return status !== 404;
}

/** Bytes that an idle connection costs a server of plain node:https. */
async function inFloor(system: System): Promise<number> {
  const { process, ready } = await system.floor<{ port: number }>('idle-https');
  return await bytesPerClient(
    system,
    process,
    ready.port,
    Array.from({ length: CLIENTS }, () => ''),
  );
}

/** Bytes that a client with such a request costs an API process. */
async function inApi(system: System, requests: readonly string[]): Promise<number> {
  const { process, origin } = await system.api([TASK]);
  return await bytesPerClient(system, process, Number(new URL(origin).port), requests);
}

/** Lets clients come, and looks at the memory of their server before and after. Ends the server. */
async function bytesPerClient(system: System, server: TestProcess, port: number, requests: readonly string[]): Promise<number> {
  const hold = async (some: readonly string[]) => {
    const file = join(tempDir('hold'), 'requests.json');
    writeFileSync(file, JSON.stringify(some));
    return (await system.floor('hold', [String(port), file])).process;
  };
  const warm = await hold(requests.slice(0, WARM));
  await warm.kill9();
  const before = await residentBytes(server);
  const clients = await hold(requests);
  const after = await residentBytes(server);
  if (!clients.alive) throw new Error(`expected ${requests.length} clients to wait:\n${clients.tail()}`);
  await clients.kill9();
  await server.kill9();
  return (after - before) / requests.length;
}

/** Resident memory of a process (Linux). */
async function residentBytes({ pid }: TestProcess): Promise<number> {
  const looks: number[] = [];
  for (let look = 0; look < LOOKS; look += 1) {
    await pause(LOOK_MS);
    looks.push(Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024);
  }
  return median(looks);
}
