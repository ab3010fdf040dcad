// The floor of the consumer: a BullMQ Worker, with two Piscina threads or alone. Arguments: queue, concurrency, and the task's file, or `none`
// for a Worker without Piscina. Prints {} when it takes jobs.
import { fileURLToPath } from 'node:url';
import { Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { Piscina } from 'piscina';

const [queue, concurrency, file] = process.argv.slice(2);
const connection = new Redis(process.env.REDIS_URL, { maxRetriesPerRequest: null });
const pool =
  file === 'none'
    ? undefined
    : new Piscina({ filename: fileURLToPath(new URL(file, import.meta.url)), minThreads: 2, maxThreads: 2, atomics: 'disabled' });
const run = pool === undefined ? async () => null : ({ data }) => pool.run(data);
const worker = new Worker(queue, run, { connection, concurrency: Number(concurrency) });
worker.on('error', () => {});
await worker.waitUntilReady();
process.stdout.write('{}\n');
