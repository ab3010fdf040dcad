/**
 * What happened in one run, as far as anybody outside the product can know it. All times are milliseconds of the machine's
 * monotonic clock, which every process reads alike.
 */
import { readFileSync } from 'node:fs';
import { z } from 'zod';

/** A job that was acknowledged with 2xx. */
const job = z.object({
  id: z.string(),
  task: z.string(),
  /** When the request was sent, and when its answer was read. */
  sentAt: z.number(),
  acknowledgedAt: z.number(),
  /** How often a `fails_first` is to fail. */
  failures: z.number().optional(),
});

/** A line that a task wrote at its start or its end. `run` pairs the two; `owner` is the consumer's pid. */
const execution = z.object({
  event: z.enum(['start', 'end']),
  run: z.string(),
  id: z.string(),
  task: z.string(),
  attempt: z.number(),
  owner: z.number(),
  at: z.number(),
  key: z.string().optional(),
});

/** `message` is empty when no answer came: then the job may be revoked or not. */
const revoke = z.object({ id: z.string(), sentAt: z.number(), answeredAt: z.number(), message: z.string() });

/** A state that a client was told. `MISSING` stands for 404. */
const sighting = z.object({ id: z.string(), sentAt: z.number(), answeredAt: z.number(), state: z.string(), result: z.string() });

const fault = z.object({
  /** `pause`: SIGSTOP and SIGCONT; `cut`: connections closed; `forget`: scripts flushed; `fill`: at maxmemory; `restart`: by PM2. */
  kind: z.enum(['kill', 'pause', 'cut', 'forget', 'fill', 'restart']),
  target: z.enum(['api', 'consumer', 'redis']),
  /** 0 when it concerns all processes of the target. */
  pid: z.number(),
  from: z.number(),
  to: z.number(),
});

/** A line of the consumers' log that gives a job another start. */
const comeback = z.object({ event: z.enum(['job.recovered', 'job.handed_back']), id: z.string(), at: z.number() });

/** What was left when everything had come to rest. */
const residue = z.object({
  /** Whether the queues ran empty in time. */
  settled: z.boolean(),
  /** Keys of places, lines, held jobs, marks and locks. */
  keys: z.array(z.string()),
  /** Ids of job hashes without an end. */
  unfinished: z.array(z.string()),
  processes: z.array(z.string()),
  threads: z.array(z.string()),
  files: z.array(z.string()),
  /** Whether a fresh job succeeds. */
  healthy: z.boolean(),
});

const historySchema = z.object({
  seed: z.number(),
  /** Slots of the node and of each of its consumer processes. */
  slots: z.number(),
  slotsOfProcess: z.number(),
  /** Whether Redis has every write on disk before it answers. */
  fsyncAlways: z.boolean(),
  /** When the last job was submitted. */
  loadEndedAt: z.number(),
  submitted: z.number(),
  jobs: z.array(job),
  executions: z.array(execution),
  revokes: z.array(revoke),
  sightings: z.array(sighting),
  faults: z.array(fault),
  comebacks: z.array(comeback),
  /** The last look at every acknowledged job. */
  ends: z.array(sighting),
  residue,
});

export type AcknowledgedJob = z.infer<typeof job>;
export type Execution = z.infer<typeof execution>;
export type Revoke = z.infer<typeof revoke>;
export type Sighting = z.infer<typeof sighting>;
export type Fault = z.infer<typeof fault>;
export type Comeback = z.infer<typeof comeback>;
export type Residue = z.infer<typeof residue>;
export type History = z.infer<typeof historySchema>;

/** The clock of every time in a history. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** The lines that tasks wrote. A process that is killed while it writes may leave half a line. */
export function readExecutions(file: string): Execution[] {
  return jsonLines(file).flatMap((line) => execution.safeParse(line).data ?? []);
}

/** Reads the consumers' log. */
export function readComebacks(file: string): Comeback[] {
  const line = z.object({ event: comeback.shape.event, jobId: z.string(), time: z.iso.datetime() });
  // Log lines carry the time of day.
  const offset = Date.now() - now();
  return jsonLines(file).flatMap((value) => {
    const { data } = line.safeParse(value);
    return data === undefined ? [] : [{ event: data.event, id: data.jobId, at: Date.parse(data.time) - offset }];
  });
}

/** Reads a history that an earlier run has kept. @throws ZodError */
export function readHistory(file: string): History {
  return historySchema.parse(JSON.parse(readFileSync(file, 'utf8')));
}

function jsonLines(file: string): unknown[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .flatMap((line): unknown[] => {
      try {
        return line.startsWith('{') ? [JSON.parse(line)] : [];
      } catch {
        return [];
      }
    });
}
