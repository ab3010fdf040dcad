import { defineTask, z } from 'fasttask';
import { hypotenuse } from './packages/geometry.ts';

export default defineTask({
  description: 'Longest side of a right-angled triangle.',
  params: z.object({ a: z.number().positive(), b: z.number().positive() }),
  result: z.object({ hypotenuse: z.number() }),
  run: ({ a, b }) => ({ hypotenuse: hypotenuse(a, b) }),
});
