/** Builds with one fault each, to show that a run finds it. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Rule } from './checker.ts';

interface Defect {
  file: string;
  from: string;
  to: string;
  /** A rule that must be found violated. */
  rule: Rule;
}

const defects: Readonly<Record<string, Defect>> = {
  /** A revoke is answered but leaves no mark on a waiting job. */
  revoke: { file: 'shared/job-scripts.js', from: "'HSET', job, 'defa',", to: "'HSET', job, 'unread',", rule: 'revoked' },
  /** A consumer runs a marked job instead of dropping it. */
  drop: { file: 'services/consumer/processor.js', from: 'if (claim.job.deferredFailure !== undefined)', to: 'if (false)', rule: 'revoked' },
  /** Locks are short and not renewed, so that jobs are taken for lost. */
  locks: { file: 'services/consumer/lane.js', from: 'LOCK_MS = 8000', to: 'LOCK_MS = 150', rule: 'starts' },
  /** Places are given without end. */
  places: { file: 'shared/job-scripts.js', from: '< tonumber(ARGV[6]) then', to: '< 100 then', rule: 'places' },
  /** Every hundredth job is acknowledged and forgotten. */
  acknowledge: {
    file: 'shared/jobs.js',
    from: 'async submit(task, data, owner = NOBODY, id = this.newId(task.name)) {',
    to: 'async submit(task, data, owner = NOBODY, id = this.newId(task.name)) { if (Math.random() < 0.01) return id;',
    rule: 'missing',
  },
};

/** Puts a defect into a built clone. @returns the rule that it breaks @throws Error for an unknown name, or code that has changed */
export function breakTree(tree: string, name: string): Rule {
  const defect = defects[name];
  if (defect === undefined) throw new Error(`--broken: expected one of ${Object.keys(defects).join(', ')}, got ${name}`);
  const file = join(tree, 'dist', defect.file);
  const parts = readFileSync(file, 'utf8').split(defect.from);
  if (parts.length !== 2)
    throw new Error(`expected ${JSON.stringify(defect.from)} once in ${defect.file}, found it ${parts.length - 1} times`);
  // A new file: the old one may be a link.
  rmSync(file);
  writeFileSync(file, parts.join(defect.to));
  return defect.rule;
}
