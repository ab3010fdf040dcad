/** All cases of the benchmark, in the order in which they are measured. */
import type { Group } from './case.ts';
import { backlog } from './cases/backlog.ts';
import { bytes } from './cases/bytes.ts';
import { drains } from './cases/drain.ts';
import { hardLimit } from './cases/hard-limit.ts';
import { http } from './cases/http.ts';
import { idle } from './cases/idle.ts';
import { installation } from './cases/installation.ts';
import { parts } from './cases/parts.ts';
import { transfer } from './cases/transfer.ts';
import { waiters } from './cases/waiters.ts';

export const groups: readonly Group[] = [http, drains, idle, hardLimit, installation, backlog, bytes, waiters, transfer, parts];

/** The names of all cases. */
export const caseNames: readonly string[] = groups.flatMap(({ cases }) => Object.keys(cases));
