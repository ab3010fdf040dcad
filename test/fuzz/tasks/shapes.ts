import { defineTask, z } from 'fasttask';

const tree = z.object({
  label: z.string(),
  get children() {
    return z.array(tree).max(3).optional();
  },
});

export default defineTask({
  description: 'Takes one of every form that params can have, and gives them back.',
  params: z.object({
    name: z.string().min(2).max(40),
    code: z.string().regex(/^[A-Z]{2}-[0-9]{1,4}$/),
    count: z.int().min(-5).max(5),
    flags: z.array(z.boolean()).min(1).max(4),
    pair: z.tuple([z.string(), z.number()]),
    either: z.union([z.string(), z.number()]).nullable(),
    shape: z.discriminatedUnion('kind', [
      z.object({ kind: z.literal('circle'), radius: z.number().positive() }),
      z.object({ kind: z.literal('box'), sides: z.array(z.number()).length(2) }),
    ]),
    ratio: z.number().gt(0).lt(1).optional(),
    day: z.enum(['monday', 'tuesday', '星期三']).default('monday'),
    byName: z.record(z.string(), z.int()).optional(),
    strict: z.strictObject({ only: z.string() }).optional(),
    constructor: z.string().optional(),
    'a/b~c "d"': z.int().optional(),
    nothing: z.null().optional(),
    tree: tree.optional(),
    anything: z.unknown().optional(),
  }),
  result: z.unknown(),
  run: (params) => params,
});
