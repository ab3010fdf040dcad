/** A job that this consumer has taken. */
import { Job, type JobJson, type Worker } from 'bullmq';
import type { JobData } from '../../shared/jobs.ts';
import type { Lane } from './lane.ts';

/** What Redis knows of a taken job. */
export interface TakenJob {
  /** The account that it belongs to; empty: nobody. */
  readonly name: string;
  readonly data: JobData;
  /** When it was submitted, in milliseconds since 1970. */
  readonly timestamp: number;
  /** Tries that have ended. */
  readonly attemptsMade: number;
  /** How often its consumer died under it. */
  readonly stalledCounter: number;
  /** Why it must not run, if so. */
  readonly deferredFailure: string | undefined;
}

/** A job taken by this consumer; `token` is its lock. */
export class Claim {
  readonly lane: Lane;
  readonly id: string;
  readonly token: string;
  readonly job: TakenJob;
  readonly #fields: readonly (string | null)[];

  /** @param fields the values of `takenFields` of exchange-jobs.ts */
  constructor(lane: Lane, id: string, token: string, fields: readonly (string | null)[]) {
    const [name, data, , timestamp, atm, stc, defa] = fields;
    this.lane = lane;
    this.id = id;
    this.token = token;
    this.#fields = fields;
    this.job = {
      name: name ?? '',
      data: JSON.parse(data ?? '{}'),
      timestamp: Number(timestamp),
      attemptsMade: Number(atm ?? 0),
      stalledCounter: Number(stc ?? 0),
      deferredFailure: defa ?? undefined,
    };
  }

  /** It may be what killed a consumer or a thread: it runs in a process of its own. */
  get suspect(): boolean {
    return this.job.stalledCounter > 0;
  }

  /** How often the job is tried at most. */
  get attempts(): number {
    const { attempts }: { attempts?: number } = JSON.parse(this.#fields[2] ?? '{}');
    return attempts ?? 1;
  }

  /** The job as BullMQ's own code takes it: made only for the ends that BullMQ writes. */
  toBullmq(worker: Worker): Job<JobData> {
    const [, data, opts, , , , , stacktrace] = this.#fields;
    const { name, timestamp, attemptsMade, stalledCounter } = this.job;
    const json = {
      id: this.id,
      name,
      data: data ?? '{}',
      opts: Job.optsFromJSON(opts ?? '{}'),
      progress: 0,
      timestamp,
      attemptsMade,
      stalledCounter,
      stacktrace: stacktrace ?? '[]',
    };
    const job: Job<JobData> = Job.fromJSON(worker, json as unknown as JobJson, this.id);
    job.token = this.token;
    return job;
  }
}
