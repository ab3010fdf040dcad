/** Reads the fields that the states of jobs follow from, of all jobs that are asked for at the same moment with one command. */
import { Batch } from './batch.ts';
import { type JobFields, stateFields } from './job-state.ts';
import { answering, isCluster, type Redis } from './redis.ts';
import { script } from './script.ts';

/** Jobs whose states are read by one script. */
const FLIGHT_JOBS = 100;

/** A longer result, in bytes, is read by a command of its own: a flight full of the longest would fill the memory of Redis. */
const LONG_BYTES = 64 * 1024;

// KEYS the jobs · returns the fields of each as JSON, false for one with a long result: one text is decoded in a moment, and a list of lists
// of short texts value by value.
const READ = script(
  'read-jobs',
  `
local answers = {}
for at, job in ipairs(KEYS) do
  answers[at] = redis.call('HSTRLEN', job, 'returnvalue') <= ${LONG_BYTES} and redis.call('HMGET', job, ${stateFields.map((name) => `'${name}'`).join(', ')})
end
return cjson.encode(answers)
`,
);

export class JobReader {
  readonly #redis: Redis;
  readonly #flights: Batch<string, JobFields | false>;

  constructor(redis: Redis) {
    this.#redis = redis;
    this.#flights = new Batch((keys) => answering(redis, async () => JSON.parse(String(await READ(redis, keys, [])))), {
      most: FLIGHT_JOBS,
    });
  }

  /**
   * Reads one job.
   * @param key of its hash
   * @throws RedisUnavailableError
   */
  async read(key: string): Promise<JobFields> {
    // The jobs of different tasks lie on different shards of a cluster, and one of them may be away.
    const fields = !isCluster(this.#redis) && (await this.#flights.add(key));
    return fields || (await answering(this.#redis, () => this.#redis.hmget(key, ...stateFields)));
  }
}
