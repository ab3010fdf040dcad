import { writeFileSync } from 'node:fs';
import { defineTask, z } from 'fasttask';

export default defineTask({
  description: 'Notes when a slot was free for it.',
  params: z.object({ file: z.string() }),
  result: z.null(),
  run({ file }) {
    writeFileSync(file, String(Number(process.hrtime.bigint()) / 1e6));
    return null;
  },
});
