import { hostname } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { defineTask, z } from 'fasttask';

export default defineTask({
  description: 'Stays for a while, and tells where.',
  params: z.object({ seconds: z.number() }),
  result: z.object({ host: z.string() }),
  async run({ seconds }, ctx) {
    await pause(seconds * 1000, undefined, { signal: ctx.signal });
    return { host: hostname() };
  },
});
