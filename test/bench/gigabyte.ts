/**
 * A large file on two hosts: `npm run gigabyte -- [megabytes]`. It is uploaded at the master, copied by a job of a worker with a FILES_DIR of its
 * own, and the copy is downloaded; the link between the two is cut in the middle of each way. Prints times, bytes and resident memory, and fails
 * when a digest differs, when bytes are sent again that had arrived, or when memory grows with the file.
 */
import { readFileSync } from 'node:fs';
import { startTwoHosts } from '../integration/two-hosts.ts';
import { jobOf } from '../support/https.ts';
import { runProgram } from '../support/program.ts';

const [megabytes = 1000] = process.argv.slice(2).map(Number);
const SIZE = megabytes * 1_000_000;

/** How often memory is looked at, in milliseconds. */
const LOOK_MS = 100;

/** What a process may need beside what it had when it was warm, in MiB: buffers of both directions, and garbage. */
const GROWTH_MIB = 120;

/** Of what must be sent, what may be sent again. */
const SENT_AGAIN = 0.2;

/** The size of the file that warms the processes. */
const WARM = 64_000_000;

/** The most resident memory of a process in MiB since the last `reset` (Linux). */
class Peak {
  readonly #pid: number;
  #most = 0;

  constructor(pid: number) {
    this.#pid = pid;
  }

  look(): void {
    const [, kib] = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${this.#pid}/status`, 'utf8')) ?? [];
    this.#most = Math.max(this.#most, Number(kib) / 1024);
  }

  reset(): number {
    const most = this.#most;
    this.#most = 0;
    return most;
  }
}

async function main(): Promise<void> {
  const hosts = await startTwoHosts({ master: { UVICORN_WORKERS: '1', SOFT_TIME_LIMIT: '300', TIME_LIMIT: '310' } });
  const { api } = hosts.master;
  const peaks = { api: new Peak(hosts.master.process.pid), consumer: new Peak(hosts.worker.pid) };
  const timer = setInterval(() => {
    for (const peak of Object.values(peaks)) peak.look();
  }, LOOK_MS);
  const timed = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
    const began = performance.now();
    const value = await work();
    process.stdout.write(`| ${what} | ${((performance.now() - began) / 1000).toFixed(1)} s |\n`);
    return value;
  };
  const copy = async (name: string) => {
    const job = jobOf(await api.post('/run/copies_file', { name }, { timeoutMs: 320_000 }));
    if (job.state !== 'SUCCESS') throw new Error(`expected SUCCESS, got ${JSON.stringify(job)}`);
    return String(Object(job.result).name);
  };
  try {
    const warm = await hosts.upload(WARM);
    await hosts.download(await copy(warm.name));
    const before = { api: peaks.api.reset(), consumer: peaks.consumer.reset() };

    process.stdout.write(
      `${megabytes} MB, the link cut in the middle of both ways; Node ${process.version}\n\n| step | time |\n|---|---|\n`,
    );
    const { name, sha256 } = await timed('upload at the master', () => hosts.upload(SIZE));
    const { bytes } = hosts.link;
    const passed = bytes.there + bytes.back;
    hosts.link.cutAt(passed + 0.5 * SIZE, passed + 1.6 * SIZE);
    const output = await timed('job on the worker: fetch, copy, deliver', () => copy(name));
    const sent = bytes.there + bytes.back - passed;
    const answer = await timed('download of the output', () => hosts.download(output));

    const after = { api: peaks.api.reset(), consumer: peaks.consumer.reset() };
    const faults: string[] = [];
    const check = (text: string, holds: boolean) => {
      process.stdout.write(`${text}: ${holds ? 'ok' : 'NOT OK'}\n`);
      if (!holds) faults.push(text);
    };
    process.stdout.write('\n');
    check(`digests ${sha256.slice(0, 12)} and ${answer.sha256.slice(0, 12)}`, answer.sha256 === sha256 && answer.size === SIZE);
    check(`cut ${hosts.link.cuts} times, expected 2`, hosts.link.cuts === 2);
    check(`sent ${(sent / SIZE / 2).toFixed(3)} times what must be sent`, sent < 2 * SIZE * (1 + SENT_AGAIN));
    for (const which of ['api', 'consumer'] as const)
      check(
        `resident memory of the ${which}: at most ${before[which].toFixed(0)} MiB with ${WARM / 1e6} MB, ${after[which].toFixed(0)} MiB with ${megabytes} MB`,
        after[which] < before[which] + GROWTH_MIB,
      );
    if (faults.length > 0) throw new Error(`not as promised: ${faults.join('; ')}`);
  } finally {
    clearInterval(timer);
    await hosts.stop();
  }
}

await runProgram(main);
