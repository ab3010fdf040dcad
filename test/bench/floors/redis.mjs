// The floor of everything that is stored: one connection that pings, one after the other, and queue.add with 32 in flight. Argument: seconds for
// each. Prints how many there were in a second as JSON.
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';

const SECONDS = Number(process.argv[2]);
const connection = new Redis(process.env.REDIS_URL, { maxRetriesPerRequest: null });
const queue = new Queue('parts', { connection });
await queue.waitUntilReady();

async function perSecond(lanes, work) {
  let done = 0;
  const began = performance.now();
  const lane = async () => {
    while (performance.now() - began < SECONDS * 1000) {
      await work();
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return done / ((performance.now() - began) / 1000);
}

const pings = await perSecond(1, () => connection.ping());
const adds = await perSecond(32, () => queue.add('job', {}));
process.stdout.write(`${JSON.stringify({ pings, adds })}\n`, () => process.exit(0));
