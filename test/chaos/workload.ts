/** The tasks of test/fixtures/chaos_tasks, as the load submits them and as the checker judges them. */
import type { Random } from './random.ts';

interface Kind {
  task: string;
  /** How often it is submitted, in proportion to the others. */
  weight: number;
  retries: number;
  params: (random: Random) => Record<string, unknown>;
  /** How a job of it may end, as `STATE result`, when nothing disturbs it. */
  endsAs: (failures: number) => RegExp;
}

/** At most so many `keyed` jobs with one key, and `two_at_once` jobs, run at once. */
export const AT_ONCE = 2;

const succeeds = () => /^SUCCESS /;
const waits = (random: Random) => ({ ms: random.whole(20, 300) });

export const kinds: readonly Kind[] = [
  { task: 'instant', weight: 50, retries: 0, params: () => ({}), endsAs: succeeds },
  { task: 'brief_wait', weight: 12, retries: 0, params: waits, endsAs: succeeds },
  { task: 'endless', weight: 0.7, retries: 0, params: () => ({}), endsAs: () => /^FAILURE "TimeLimitExceeded\(1\)/ },
  { task: 'obedient', weight: 1, retries: 0, params: () => ({}), endsAs: () => /^SUCCESS \{"saved":true\}/ },
  {
    task: 'fails_first',
    weight: 10,
    retries: 2,
    params: (random) => ({ failures: random.whole(0, 3) }),
    endsAs: (failures) => (failures <= 2 ? new RegExp(`^SUCCESS \\{"attempt":${failures + 1}\\}`) : /^FAILURE "Error: a planned failure/),
  },
  { task: 'leaves', weight: 1, retries: 0, params: () => ({}), endsAs: () => /^FAILURE "(ThreadEnded|ConsumerLost\(\d\)).*exit code 3/ },
  { task: 'alone', weight: 1.5, retries: 0, params: waits, endsAs: succeeds },
  {
    task: 'keyed',
    weight: 8,
    retries: 0,
    params: (random) => {
      const key = random.pick(['red', 'blue']);
      return { ...waits(random), key, fasttask_concurrency_params: { concurrency_key: key, max_concurrency: AT_ONCE } };
    },
    endsAs: succeeds,
  },
  { task: 'two_at_once', weight: 8, retries: 0, params: waits, endsAs: succeeds },
];

/** @throws Error for a task that is none of them */
export function kindOf(task: string): Kind {
  const kind = kinds.find((one) => one.task === task);
  if (kind === undefined) throw new Error(`expected one of ${kinds.map((one) => one.task).join(', ')}, got ${task}`);
  return kind;
}

/** The task in a job's id `<running id>-<task>-<uuid>`. */
export function taskOf(id: string): string {
  return id.slice(id.indexOf('-') + 1, -37);
}
