/** The schemas of the OpenAPI document. */
import type { JsonSchema, TaskDescriptor } from '../../shared/registry.ts';
import { concurrencySchema, isObject, revokeSchema, statusSchema } from './request-schemas.ts';

export function reference(schema: string): { $ref: string } {
  return { $ref: `#/components/schemas/${schema}` };
}

export const paramsName = (task: string) => `${task}.Params`;
export const resultName = (task: string) => `${task}.Result`;

/** A task's two schemas under their names, with references that point to where they now stand. */
export function taskSchemas(task: TaskDescriptor): Record<string, unknown> {
  const [params, result] = [paramsName(task.name), resultName(task.name)];
  return { [params]: moved(task.params, params), [result]: moved(task.result, result) };
}

function moved(schema: JsonSchema, name: string): unknown {
  const { $schema: _dialect, $id: _id, ...rest } = schema;
  return rebased(rest, reference(name).$ref);
}

function rebased(value: unknown, base: string): unknown {
  if (Array.isArray(value)) return value.map((item) => rebased(item, base));
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => {
      const local = key === '$ref' && typeof inner === 'string' && inner.startsWith('#');
      return [key, local ? base + inner.slice(1) : rebased(inner, base)];
    }),
  );
}

const text = { type: 'string' };
const count = { type: 'integer', minimum: 0 };
const id = { type: 'string', description: 'The id of the job.' };
const ids = { type: 'array', items: text };
const states = ['PENDING', 'STARTED', 'RETRY', 'SUCCESS', 'FAILURE', 'REVOKED'];

/** `{id, state, result}` with a result of this kind where the state is SUCCESS, and a text otherwise. */
export function jobSchema(result: Record<string, unknown>): Record<string, unknown> {
  return {
    type: 'object',
    required: ['id', 'state', 'result'],
    properties: {
      id,
      state: { enum: states },
      result: { anyOf: [result, text] },
      progress: { description: 'The last progress that a running job has told.' },
    },
  };
}

/** Counts by the ends and windows of time that /status_info tells. */
const byWindow = (schema: Record<string, unknown>) => ({
  type: 'object',
  properties: Object.fromEntries(
    ['success', 'failure'].flatMap((end) => ['1_minute', '15_minute', '1_hour', '1_day'].map((window) => [`${end}_in_${window}`, schema])),
  ),
});

/** What no task changes. */
export const fixedSchemas = {
  ConcurrencyParams: { ...concurrencySchema, type: ['object', 'null'] },
  RevokeParams: revokeSchema,
  StatusParams: statusSchema,
  Job: jobSchema({}),
  PendingJob: {
    type: 'object',
    required: ['id', 'state', 'result'],
    properties: { id, state: { enum: states.slice(0, 3) }, result: { const: '' } },
  },
  Batch: { type: 'object', required: ['ids', 'state'], properties: { ids, state: { const: 'PENDING' } } },
  JobLogs: {
    type: 'object',
    required: ['id', 'lines'],
    properties: {
      id,
      lines: {
        type: 'array',
        items: {
          type: 'object',
          required: ['time', 'level', 'message'],
          properties: { time: text, level: { enum: ['debug', 'info', 'warn', 'error'] }, message: text, fields: { type: 'object' } },
        },
      },
    },
  },
  Revoked: {
    type: 'object',
    required: ['status', 'result', 'message'],
    properties: { status: { enum: ['SUCCESS', 'FAILURE'] }, result: { const: '' }, message: text },
  },
  Status: {
    type: 'object',
    required: ['running_id', 'username', 'worker_status', 'task_info_total', 'pending_task_count'],
    properties: {
      running_id: text,
      username: text,
      worker_status: {
        type: 'object',
        properties: {
          online_worker_count: count,
          online_workers_list: ids,
          worker_details: { type: 'object', additionalProperties: reference('Worker') },
          conflicts: { type: 'array', items: reference('Conflict') },
        },
      },
      task_info_total: reference('TaskInfo'),
      pending_task_count: { type: 'object', additionalProperties: count },
    },
  },
  Worker: {
    type: 'object',
    properties: {
      active_tasks: ids,
      reserved_tasks: ids,
      scheduled_tasks: ids,
      total: { type: 'object', additionalProperties: count, description: 'Jobs done since its start, by task.' },
      uptime: { ...count, description: 'Seconds.' },
      'pool.max-concurrency': count,
      prefetch_count: count,
      'rusage.maxrss': { ...count, description: 'KiB.' },
    },
  },
  Conflict: {
    type: 'object',
    description: 'A task of which workers have other versions than the one whose schema is served.',
    required: ['task', 'served', 'others'],
    properties: {
      task: text,
      served: { ...text, description: 'The digest of the version whose schema is served.' },
      others: {
        type: 'array',
        items: { type: 'object', required: ['digest', 'workers'], properties: { digest: text, workers: ids } },
      },
    },
  },
  Workers: {
    type: 'object',
    required: ['totals', 'tasks', 'workers', 'conflicts'],
    properties: {
      totals: {
        type: 'object',
        description: 'Slots are those of workers that are not draining.',
        required: ['workers', 'slots', 'busySlots', 'waiting', 'oldestAgeSeconds'],
        properties: { workers: count, slots: count, busySlots: count, waiting: count, oldestAgeSeconds: count },
      },
      tasks: { type: 'object', additionalProperties: reference('TaskLoad') },
      workers: { type: 'array', items: reference('WorkerLoad') },
      conflicts: { type: 'array', items: reference('Conflict') },
    },
  },
  TaskLoad: {
    type: 'object',
    required: ['waiting', 'delayed', 'held', 'active', 'oldestAgeSeconds', 'workers'],
    properties: {
      waiting: count,
      delayed: { ...count, description: 'Waiting for their next try.' },
      held: { ...count, description: 'Waiting for a place of their concurrency key.' },
      active: count,
      oldestAgeSeconds: { ...count, description: 'For how long the next job has waited; 0 when none waits.' },
      workers: { ...count, description: 'Workers that take jobs of the task.' },
    },
  },
  WorkerLoad: {
    type: 'object',
    required: ['name', 'tag', 'host', 'version', 'slots', 'busy', 'draining', 'tasks', 'uptimeSeconds', 'lastSeen'],
    properties: {
      name: text,
      tag: text,
      host: text,
      version: { ...text, description: 'Its version of FastTask.' },
      slots: { ...count, description: 'Jobs that it runs at once.' },
      busy: { ...count, description: 'Jobs that it runs now.' },
      draining: { type: 'boolean', description: 'It takes nothing new and is about to end.' },
      tasks: ids,
      uptimeSeconds: count,
      lastSeen: { type: 'string', format: 'date-time' },
    },
  },
  TaskInfo: {
    type: 'object',
    properties: {
      status_to_amount: { type: 'object', properties: Object.fromEntries(states.map((state) => [state, count])) },
      completed_counts: byWindow(count),
      throughput_rates_per_second: byWindow({ type: 'number', minimum: 0 }),
    },
  },
  Alive: { type: 'object', required: ['status'], properties: { status: text } },
  Problem: { type: 'object', required: ['detail'], properties: { detail: text } },
  InternalProblem: { type: 'object', required: ['detail', 'request_id'], properties: { detail: text, request_id: text } },
  ValidationProblem: {
    type: 'object',
    required: ['detail'],
    properties: {
      detail: {
        type: 'array',
        items: {
          type: 'object',
          required: ['type', 'loc', 'msg', 'input'],
          properties: {
            type: { type: 'string', examples: ['missing', 'float_type', 'greater_than'] },
            loc: { type: 'array', items: { type: ['string', 'integer'] }, examples: [['body', 'radius']] },
            msg: { type: 'string', examples: ['Field required'] },
            input: { description: 'What came, cut at 1 KB.' },
            ctx: { type: 'object', description: 'Facts behind the message.' },
          },
        },
      },
    },
  },
};
