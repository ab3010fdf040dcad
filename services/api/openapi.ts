/** The OpenAPI 3.1 document: what the registry knows, as the API serves it. */
import type { Config } from '../../shared/config.ts';
import type { TaskDescriptor } from '../../shared/registry.ts';
import { BATCH_MAX } from './job-request.ts';
import { eventPaths } from './openapi-events.ts';
import { exampleOf } from './openapi-example.ts';
import { filePaths } from './openapi-files.ts';
import { always, answer, errorResponses, errors, withBody } from './openapi-responses.ts';
import { fixedSchemas, jobSchema, paramsName, reference, resultName, taskSchemas } from './openapi-schemas.ts';
import { CONCURRENCY_FIELD } from './request-schemas.ts';
import { HARD_HEADER, SOFT_HEADER } from './time-limits.ts';

type Serves = Config['api']['serves'];
type Fragment = Record<string, unknown>;

/** @param tasks in the order in which they are shown */
export function openApiDocument(tasks: Iterable<TaskDescriptor>, serves: Serves): Fragment {
  const list = [...tasks];
  return {
    openapi: '3.1.0',
    info: {
      title: 'FastTask',
      summary: 'Typed functions as a distributed task service',
      description: 'Run a task and wait for its result (`/run`), or create a job (`/create`) and ask for it later (`/check`).',
      version: '1.0.0',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    // The empty requirement says that an installation without accounts asks for none.
    security: [{ HTTPBasic: [] }, { Key: [] }, {}],
    tags: [
      ...list.map(({ name, description }) => ({ name: tagOf(name), description })),
      { name: 'Monitoring', description: 'Health, and what is going on.' },
      { name: 'File Management', description: 'Files that tasks read and write.' },
      { name: 'Task Control', description: 'Jobs of any task, by their id.' },
    ],
    paths: {
      ...Object.assign({}, ...list.map((task) => taskPaths(task, serves))),
      ...filePaths(serves),
      ...controlPaths(serves),
      ...monitoringPaths(list, serves),
    },
    components: {
      schemas: { ...fixedSchemas, ...Object.assign({}, ...list.map(taskSchemas)) },
      securitySchemes: {
        HTTPBasic: { type: 'http', scheme: 'basic', description: 'The name and password of an account.' },
        Key: { type: 'http', scheme: 'bearer', bearerFormat: 'ft_NAME_SECRET', description: 'A key made by `npm run user -- key NAME`.' },
      },
      responses: errorResponses(),
    },
  };
}

function tagOf(task: string): string {
  return `Task: ${task}`;
}

const json = (schema: Fragment, example?: unknown) => ({ 'application/json': example === undefined ? { schema } : { schema, example } });
const body = (schema: Fragment, example?: unknown) => ({ required: true, content: json(schema, example) });

const preferHeader = {
  name: 'Prefer',
  in: 'header',
  description: '`wait=N`: answer after N seconds at the latest.',
  schema: { type: 'string', pattern: '^wait=\\d+$' },
};

const limitHeaders = [
  {
    name: HARD_HEADER,
    in: 'header',
    description: 'Lowers the time limit of this job, in seconds.',
    schema: { type: 'number', exclusiveMinimum: 0 },
  },
  {
    name: SOFT_HEADER,
    in: 'header',
    description: 'Lowers the soft time limit of this job, in seconds.',
    schema: { type: 'number', exclusiveMinimum: 0 },
  },
];

const EXAMPLE_ID = 'Ab12Cd34-TASK-0199d4a5-7c1e-7a30-8f52-3a0c6f1f9b7e';

function taskPaths(task: TaskDescriptor, serves: Serves): Fragment {
  const { name, description } = task;
  const id = EXAMPLE_ID.replace('TASK', name);
  const params = exampleOf(task.params);
  const result = exampleOf(task.result);
  const input = {
    allOf: [reference(paramsName(name)), { type: 'object', properties: { [CONCURRENCY_FIELD]: reference('ConcurrencyParams') } }],
  };
  const job = jobSchema(reference(resultName(name)));
  const operation = (verb: string, summary: string, rest: Fragment) => ({
    tags: [tagOf(name)],
    operationId: `${verb}_${name}`,
    summary,
    description,
    ...rest,
  });
  const paths: Fragment = {};
  if (serves.run) {
    const responses = {
      '200': answer('The end of the job.', job, { id, state: 'SUCCESS', result }),
      '202': {
        ...answer('The job has not ended yet; ask for it under `location`.', reference('PendingJob'), { id, state: 'STARTED', result: '' }),
        headers: { location: { schema: { type: 'string' } } },
      },
    };
    paths[`/run/${name}`] = {
      post: operation('run', `Run ${name} and wait for its result`, {
        parameters: [preferHeader, ...limitHeaders],
        requestBody: body(input, params),
        responses: { ...responses, ...withBody, ...always },
      }),
    };
  }
  if (serves.create) {
    paths[`/create/${name}`] = {
      post: operation('create', `Create a job of ${name}`, {
        parameters: limitHeaders,
        requestBody: body(input, params),
        responses: {
          '200': answer('The job is in the queue.', reference('PendingJob'), { id, state: 'PENDING', result: '' }),

          ...withBody,
          ...always,
        },
      }),
    };
    paths[`/create/${name}/batch`] = {
      post: operation('create_batch', `Create many jobs of ${name}, all or none`, {
        parameters: limitHeaders,
        requestBody: body({ type: 'array', items: input, minItems: 1, maxItems: BATCH_MAX }, [params]),
        responses: {
          '200': answer('The jobs are in the queue, in the order given.', reference('Batch'), { ids: [id], state: 'PENDING' }),

          ...withBody,
          ...always,
        },
      }),
    };
  }
  if (serves.check) {
    paths[`/check/${name}`] = {
      get: operation('check', `State and result of a job of ${name}`, {
        parameters: [
          { name: 'result_id', in: 'query', required: true, description: 'The id of the job.', schema: { type: 'string' } },
          preferHeader,
        ],
        responses: { '200': answer('The job.', job, { id, state: 'SUCCESS', result }), ...errors(404), ...always },
      }),
    };
  }
  return paths;
}

function controlPaths(serves: Serves): Fragment {
  const tags = ['Task Control'];
  const check = {
    get: {
      tags,
      operationId: 'check_job',
      summary: 'State and result of a job',
      parameters: [
        { name: 'result_id', in: 'path', required: true, description: 'The id of the job.', schema: { type: 'string' } },
        preferHeader,
      ],
      responses: { '200': answer('The job.', reference('Job')), ...errors(404), ...always },
    },
  };
  const revoke = {
    post: {
      tags,
      operationId: 'revoke',
      summary: 'Revoke a job',
      description: 'A waiting job never starts after this; a running one is ended within a second.',
      requestBody: body(reference('RevokeParams')),
      responses: { '200': answer('What was done.', reference('Revoked')), ...withBody, ...always },
    },
  };
  const logs = {
    get: {
      tags: ['Task Control'],
      operationId: 'job_logs',
      summary: 'The last 1,000 lines that a job printed or logged',
      parameters: [{ name: 'id', in: 'path', required: true, schema: { type: 'string' } }],
      responses: { '200': answer('The lines, oldest first.', reference('JobLogs')), ...errors(404), ...always },
    },
  };
  return {
    ...(serves.check ? { '/check/{result_id}': check, ...eventPaths(tags), '/jobs/{id}/logs': logs } : {}),
    ...(serves.revoke ? { '/revoke': revoke } : {}),
  };
}

function monitoringPaths(tasks: readonly TaskDescriptor[], serves: Serves): Fragment {
  const tags = ['Monitoring'];
  const open = { tags, security: [{}] };
  const statusInfo = {
    post: {
      tags,
      operationId: 'status_info',
      summary: 'Consumers and counts',
      requestBody: body(reference('StatusParams'), { fields: ['worker_status', 'task_info', 'pending_task_count'] }),
      responses: { '200': answer('What was asked for; the rest is empty.', statusSchemaOf(tasks)), ...withBody, ...always },
    },
  };
  const workers = {
    get: {
      tags,
      operationId: 'workers',
      summary: 'Workers, and how much waits for them',
      description: 'The signal to scale by. Callers that are limited to tasks see of those only.',
      responses: { '200': answer('Workers that are online, and the load of each task.', reference('Workers')), ...always },
    },
  };
  return {
    ...(serves.statusInfo ? { '/status_info': statusInfo, '/workers': workers } : {}),
    '/health': {
      get: {
        ...open,
        operationId: 'health',
        summary: 'Whether the process lives',
        responses: { '200': answer('It does.', reference('Alive')) },
      },
    },
    '/ready': {
      get: {
        ...open,
        operationId: 'ready',
        summary: 'Whether jobs can be served',
        responses: { '200': answer('They can.', reference('Alive')), ...errors(503) },
      },
    },
  };
}

function statusSchemaOf(tasks: readonly TaskDescriptor[]): Fragment {
  const perTask = tasks.map(({ name }) => [`task_info_${name}`, reference('TaskInfo')]);
  return { allOf: [reference('Status'), { type: 'object', properties: Object.fromEntries(perTask) }] };
}
