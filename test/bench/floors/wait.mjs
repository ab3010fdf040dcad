// The floor of /run and of dispatch: add a job, wait until it is finished, one after the other. Arguments: queue, seconds. Its jobs return when
// they were entered. Prints milliseconds as JSON: from add to the result, and from add to the entry.
import { Queue, QueueEvents } from 'bullmq';
import { Redis } from 'ioredis';

const [name, seconds] = process.argv.slice(2);
const connect = () => new Redis(process.env.REDIS_URL, { maxRetriesPerRequest: null });
const queue = new Queue(name, { connection: connect() });
const events = new QueueEvents(name, { connection: connect() });
await Promise.all([queue.waitUntilReady(), events.waitUntilReady()]);

const WARM_MS = 500;
const now = () => Number(process.hrtime.bigint()) / 1e6;
const ends = [];
const entries = [];

// The end of a job may be missed until the first read of the stream is under way.
await (await queue.add('job', {})).waitUntilFinished(events, 1000).catch(() => {});
const began = now();
while (now() < began + WARM_MS + Number(seconds) * 1000) {
  const addedAt = now();
  const job = await queue.add('job', {});
  const enteredAt = await job.waitUntilFinished(events);
  if (addedAt < began + WARM_MS) continue;
  ends.push(now() - addedAt);
  entries.push(enteredAt - addedAt);
}

const p50 = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
process.stdout.write(`${JSON.stringify({ end: p50(ends), entry: p50(entries) })}\n`, () => process.exit(0));
