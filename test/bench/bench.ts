/**
 * What FastTask costs on top of its parts: `npm run bench`. Every figure stands beside its floor from the same run.
 *
 *   --rounds N      rounds that are counted, default 5
 *   --megabytes N   size of the file that is sent and fetched, default 256
 *   --json          print the figures as JSON too
 */
import { parseArgs } from 'node:util';
import { runProgram } from '../support/program.ts';
import { redisProgram } from '../support/redis.ts';
import { place, ratioOf, tableOf } from './measure.ts';
import { transferFigures } from './transfer.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    megabytes: { type: 'string', default: '256' },
    json: { type: 'boolean', default: false },
  },
});

await runProgram(async () => {
  const { version } = await redisProgram();
  process.stdout.write(`${place(version)}; medians of ${values.rounds} rounds (least–most)\n\n`);
  const figures = await transferFigures(Number(values.rounds), Number(values.megabytes));
  process.stdout.write(`${tableOf(figures)}\n`);
  if (values.json) process.stdout.write(`${JSON.stringify(figures.map((figure) => ({ ...figure, ratio: ratioOf(figure) })))}\n`);
});
