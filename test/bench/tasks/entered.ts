import { defineTask, z } from 'fasttask';

export default defineTask({
  description: 'Tells when it was entered: milliseconds on the clock that all processes of a machine share.',
  params: z.object({}),
  result: z.number(),
  run: () => Number(process.hrtime.bigint()) / 1e6,
});
