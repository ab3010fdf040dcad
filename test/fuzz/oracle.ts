/** Judges answers: what is wrong with one, in words. */
import { z } from 'zod';
import { errorCodes } from '../../shared/error-codes.ts';
import type { Reply } from './exchange.ts';
import type { ApiRequest } from './request.ts';

/** Statuses of 500 and more that the API declares: Redis is out of reach, the disk is full. */
const DECLARED: ReadonlySet<number> = new Set([503, 507]);

const job = z.object({
  id: z.string(),
  state: z.enum(['PENDING', 'STARTED', 'RETRY', 'SUCCESS', 'FAILURE', 'REVOKED']),
  result: z.unknown(),
});
const batch = z.object({ ids: z.array(z.string().min(1)), state: z.literal('PENDING') });
const issue = z.object({ type: z.string(), loc: z.array(z.union([z.string(), z.number()])).min(1), msg: z.string() });
const invalid = z.object({ detail: z.array(issue).min(1) });
const problem = z.object({ detail: z.string().min(1) });
const shapes: Readonly<Partial<Record<ApiRequest['kind'], z.ZodType>>> = {
  create: job,
  run: job,
  check: job,
  batch,
  revoke: z.object({ status: z.enum(['SUCCESS', 'FAILURE']), result: z.literal(''), message: z.string().min(1) }),
  status_info: z.object({ running_id: z.string(), username: z.string() }),
  logs: z.object({ id: z.string(), lines: z.array(z.object({ message: z.string() })) }),
};

/** Frames of a stack. The text of a failed job has those of the task's own file, and may. */
const STACKS = [/\bat .*\.ts\b/, /\bat .*\.js:/, /node:internal/];

/** What may be in no answer. */
export class Secrets {
  readonly #texts: readonly string[];

  /** @param texts secrets, and folders of this machine */
  constructor(texts: readonly string[]) {
    this.#texts = [...texts, 'node_modules', 'file:///'];
  }

  /** Faults of an answer's text. @param failed whether it tells how a job failed */
  leaks(text: string, failed = false): string[] {
    const found = this.#texts.filter((secret) => text.includes(secret));
    const frames = failed ? [] : STACKS.filter((stack) => stack.test(text)).map(String);
    return [...found, ...frames].map((what) => `expected no ${what} in the answer`);
  }
}

/** Every fault of an answer; none when it is as it should be. */
export function judge(request: ApiRequest, reply: Reply, secrets: Secrets): string[] {
  const { status, headers, text } = reply;
  const faults = secrets.leaks(`${JSON.stringify(headers)}\n${text}`, tellsFailure(request, text));
  if (DECLARED.has(status)) return faults;
  if (status >= 500) faults.push(`expected a status below 500, got ${status}`);
  else if (request.statuses !== undefined && !request.statuses.includes(status))
    faults.push(`expected the status ${request.statuses.join(' or ')}, got ${status}`);
  return [...faults, ...identityFaults(request, reply), ...codeFaults(reply), ...bodyFaults(request, reply)];
}

function tellsFailure({ kind }: ApiRequest, text: string): boolean {
  return (kind === 'check' || kind === 'run') && text.includes('"state":"FAILURE"');
}

const clientsOwnId = /^[A-Za-z0-9_-]{1,64}$/;

function identityFaults(request: ApiRequest, { headers }: Reply): string[] {
  const [sent, got] = [request.headers['x-request-id'] ?? '', headers['x-request-id']];
  if (typeof got !== 'string' || got === '') return ['expected x-request-id in the answer'];
  return clientsOwnId.test(sent) && got !== sent ? [`expected x-request-id ${sent}, got ${got}`] : [];
}

const statusOfCode = new Map<string, number>(Object.entries(errorCodes).map(([code, { status }]) => [code, status]));

/** Every error has a code that the registry knows with this status. */
function codeFaults({ status, headers }: Reply): string[] {
  const code = headers['fasttask-error'];
  if (status < 400) return code === undefined ? [] : [`expected no code of an error with ${status}, got ${String(code)}`];
  return statusOfCode.get(String(code)) === status ? [] : [`expected a known code of an error with ${status}, got ${String(code)}`];
}

function bodyFaults({ kind, method, ids }: ApiRequest, { status, headers, text }: Reply): string[] {
  if (method === 'HEAD' || text === '' || (kind === 'page' && status < 300) || (kind === 'download' && status < 300)) return [];
  // A slash too many is answered with a redirection, and some methods reach a page.
  if (kind === 'stray' && status < 400) return [];
  const type = String(headers['content-type']);
  if (!type.startsWith('application/json')) return [`expected JSON, got ${type}: ${text.slice(0, 200)}`];
  const value = parsed(text);
  if (value === undefined) return [`expected JSON, got ${text.slice(0, 200)}`];
  const shape = status === 422 ? invalid : status >= 400 ? problem : shapes[kind];
  const fault = shape?.safeParse(value).error;
  if (fault !== undefined)
    return [
      `expected another shape of the answer with ${status}: ${fault.issues.map(({ path, message }) => `${path.join('.')} ${message}`).join('; ')}`,
    ];
  return status === 200 && ids !== undefined ? countFaults(value, ids) : [];
}

function countFaults(value: unknown, expected: number): string[] {
  const { ids } = batch.parse(value);
  const different = new Set(ids).size;
  return different === expected && ids.length === expected
    ? []
    : [`expected ${expected} different ids, got ${ids.length}, ${different} different`];
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
