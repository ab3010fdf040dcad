/** Sends generated requests, many at a time, and makes the smallest of one that fails. */
import fc, { type Arbitrary } from 'fast-check';
import { messageOf } from '../../shared/errors.ts';
import type { Exchange } from './exchange.ts';
import type { Given } from './given.ts';
import { judge, type Secrets } from './oracle.ts';
import type { RawRequest } from './raw.ts';
import type { ApiRequest } from './request.ts';
import { sayAndJudge } from './socket.ts';
import type { Tally } from './tally.ts';

/** Requests on their way at once. */
export const IN_FLIGHT = 16;

export type FuzzRequest = ApiRequest | RawRequest;

export interface Target {
  port: number;
  /** Whether the API's process lives and is not about to end. */
  alive(): boolean;
  exchange: Exchange;
  given: Given;
  secrets: Secrets;
}

export interface Failure {
  /** What repeats it: `--seed S --path P`. */
  seed: number;
  path: string;
  request: FuzzRequest;
  faults: string[];
}

/** Sends one request. @returns what is wrong with its answer */
async function send(target: Target, request: FuzzRequest, tally: Tally): Promise<string[]> {
  if (request.kind === 'raw') {
    const { statuses, faults } = await sayAndJudge(target.port, request, target.secrets);
    tally.count(`raw: ${request.name}`, statuses.length === 0 ? ['closed'] : statuses);
    return faults;
  }
  const filled = target.given.fill(request);
  try {
    const reply = await target.exchange.send(filled);
    tally.count(request.kind, [reply.status]);
    const faults = judge(filled, reply, target.secrets);
    if (faults.length === 0) target.given.learn(filled, reply);
    return faults.length === 0
      ? []
      : [...faults, `sent ${filled.method} ${filled.path}`, `got ${reply.status} ${reply.text.slice(0, 500)}`];
  } catch (error) {
    tally.count(request.kind, ['none']);
    return [`expected an answer, got none: ${messageOf(error)}`];
  }
}

/** Sends the requests of one seed, IN_FLIGHT at a time, until one fails. */
export async function sendAll(
  target: Target,
  requests: Arbitrary<FuzzRequest>,
  seed: number,
  count: number,
  tally: Tally,
): Promise<Failure | undefined> {
  const waiting = fc.sample(requests, { seed, numRuns: count }).entries();
  let failure: Failure | undefined;
  const next = async () => {
    for (const [index, request] of waiting) {
      if (failure !== undefined) return;
      const faults = await send(target, request, tally);
      if (faults.length > 0) failure ??= { seed, path: String(index), request, faults };
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, next));
  return failure;
}

/** The smallest request that fails as this one does, or undefined when it does not fail again. */
export async function smallest(
  target: Target,
  requests: Arbitrary<FuzzRequest>,
  { seed, path }: Pick<Failure, 'seed' | 'path'>,
  tally: Tally,
): Promise<Failure | undefined> {
  let faults: string[] = [];
  const property = fc.asyncProperty(requests, async (request) => {
    // What has ended the process is the smallest already: nothing can be sent any more.
    if (!target.alive()) return true;
    const found = await send(target, request, tally);
    if (found.length > 0) faults = found;
    return found.length === 0;
  });
  const { counterexample, counterexamplePath } = await fc.check(property, { seed, path, numRuns: 1 });
  if (counterexample === null || counterexamplePath === null) return undefined;
  return { seed, path: counterexamplePath, request: counterexample[0], faults };
}
