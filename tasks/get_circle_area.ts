import { defineTask, z } from 'fasttask';

export default defineTask({
  description: 'Area of a circle.',
  params: z.object({
    radius: z
      .number()
      .positive()
      .meta({ description: 'Radius of the circle', examples: [5] }),
  }),
  result: z.object({ area: z.number() }),
  run: ({ radius }) => ({ area: Math.PI * radius ** 2 }),
});
