/**
 * How FastTask grows: `npm run scale`. Throughput of no-op jobs by shards and consumers, what a job, a consumer and an API process cost
 * Redis, and what 10, 100 and 1,000 workers need by that. Prints the tables of services/README.md. Takes four minutes.
 *
 *   --jobs N      waiting jobs of one round, default 6000
 *   --rounds N    rounds of each case, default 3
 *   --seconds N   for how long a resting installation is watched, default 30, in which everything that is done now and then is done once
 *   --only NAME   throughput or costs
 */
import { parseArgs } from 'node:util';
import { runProgram } from '../support/program.ts';
import { redisProgram } from '../support/redis.ts';
import { place } from './measure.ts';
import { measureCosts } from './scale-costs.ts';
import { costTables } from './scale-report.ts';
import { sizingTable } from './scale-sizing.ts';
import { throughputTable } from './scale-throughput.ts';

const { values } = parseArgs({
  options: {
    jobs: { type: 'string', default: '6000' },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '30' },
    only: { type: 'string' },
  },
});

await runProgram(async () => {
  const print = (...texts: string[]) => process.stdout.write(`${texts.join('\n\n')}\n\n`);
  print(`${place((await redisProgram()).version)}.`);
  if (values.only !== 'costs') print(await throughputTable(Number(values.jobs), Number(values.rounds)));
  if (values.only === 'throughput') return;
  const costs = await measureCosts(Number(values.seconds));
  print(costTables(costs), sizingTable(costs));
});
