// An asynchronous task: it waits for I/O, and its soft limit reaches every wait through ctx.signal.
import { setTimeout as pause } from 'node:timers/promises';
import { defineTask, z } from 'fasttask';

export default defineTask({
  description: 'Counts the words of each text, with a pause before each as a slow service would need.',
  params: z.object({
    texts: z.array(z.string()).min(1),
    pauseSeconds: z.number().min(0).max(60).default(0.1),
  }),
  result: z.object({ words: z.array(z.int()), complete: z.boolean() }),
  async run({ texts, pauseSeconds }, ctx) {
    const words: number[] = [];
    for (const text of texts) {
      try {
        await pause(pauseSeconds * 1000, undefined, { signal: ctx.signal });
      } catch (error) {
        // At the soft limit the task ends cleanly with what it has.
        if (ctx.signal.aborted) return { words, complete: false };
        throw error;
      }
      words.push(text.split(/\s+/).filter((word) => word !== '').length);
      ctx.progress({ counted: words.length, of: texts.length });
    }
    return { words, complete: true };
  },
});
