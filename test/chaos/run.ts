import { setTimeout as delay } from 'node:timers/promises';
import { Faults } from './faults.ts';
import { type History, now, readComebacks, readExecutions } from './history.ts';
import { Load } from './load.ts';
import { ChaosNode, CONSUMERS, type NodeOptions, SLOTS } from './node.ts';
import { endsOf, residueOf, settled } from './rest.ts';

export interface ChaosRun extends NodeOptions {
  seed: number;
  minutes: number;
  signal: AbortSignal;
  say: (line: string) => void;
}

/** Before the end of the load no fault happens for this long, so that it is seen that work goes on, in milliseconds. */
const CALM_MS = 15_500;

/** One run, from the start of an installation to its end. @throws Error when interrupted, or when it does not start */
export async function runChaos({ seed, minutes, signal, say, ...options }: ChaosRun): Promise<History> {
  signal.throwIfAborted();
  const node = await ChaosNode.make(options);
  try {
    await node.start();
    signal.throwIfAborted();
    const load = new Load(node, seed);
    const faults = new Faults(node, seed, say);
    const endAt = now() + minutes * 60_000;
    const loadStop = new AbortController();
    const loading = load.run(AbortSignal.any([signal, loadStop.signal]));
    await faults.run(endAt - CALM_MS, signal);
    await delay(Math.max(0, endAt - now()), undefined, { signal });
    loadStop.abort();
    const loadEndedAt = now();
    await loading;
    const isSettled = await settled(node);
    signal.throwIfAborted();
    const ends = await endsOf(load);
    const residue = await residueOf(node, isSettled);
    return {
      seed,
      slots: SLOTS,
      slotsOfProcess: SLOTS / CONSUMERS,
      fsyncAlways: options.fsyncAlways,
      loadEndedAt,
      submitted: load.submitted,
      jobs: load.jobs,
      executions: readExecutions(node.executions),
      revokes: load.revokes,
      sightings: load.sightings,
      faults: faults.done,
      comebacks: readComebacks(node.consumerLog),
      ends,
      residue,
    };
  } finally {
    await node.stop();
  }
}
