import { createConfig, lintFromString } from '@redocly/openapi-core';
import { Validator } from '@seriousme/openapi-schema-validator';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { openApiDocument } from '../../services/api/openapi.ts';
import { exampleOf } from '../../services/api/openapi-example.ts';
import { errorCodes } from '../../shared/error-codes.ts';
import type { TaskDescriptor } from '../../shared/registry.ts';

interface Tree {
  value: number;
  children: Tree[];
}
const tree: z.ZodType<Tree> = z.lazy(() => z.object({ value: z.number(), children: z.array(tree) }));

const task = (name: string, params: z.ZodType, result: z.ZodType): TaskDescriptor => ({
  name,
  description: `What ${name} does`,
  digest: '1',
  params: { ...z.toJSONSchema(params, { io: 'input' }) },
  result: { ...z.toJSONSchema(result) },
});

const tasks = [
  task('get_circle_area', z.object({ radius: z.number().positive() }), z.object({ area: z.number() })),
  task('grow', z.object({ root: tree, when: z.iso.datetime().optional() }), tree),
];
const all = { docs: true, redoc: true, statusInfo: true, run: true, create: true, check: true, revoke: true, download: true, upload: true };

test('the document is valid OpenAPI 3.1, with every reference in place', async () => {
  const document = openApiDocument(tasks, all);
  const validator = new Validator();
  const outcome = await validator.validate(structuredClone(document));
  expect(outcome.errors).toBeUndefined();
  expect(validator.version).toBe('3.1');
  for (const [, pointer = ''] of JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g))
    expect(at(document, pointer), pointer).toBeDefined();
});

test('every task has its paths, its tag and both of its schemas', () => {
  const document = openApiDocument(tasks, all);
  expect(Object.keys(Object(document['paths'])).sort()).toEqual([
    '/check/get_circle_area',
    '/check/grow',
    '/check/{result_id}',
    '/create/get_circle_area',
    '/create/get_circle_area/batch',
    '/create/grow',
    '/create/grow/batch',
    '/download',
    '/events',
    '/health',
    '/jobs/{id}/logs',
    '/ready',
    '/revoke',
    '/run/get_circle_area',
    '/run/grow',
    '/status_info',
    '/upload',
    '/workers',
  ]);
  expect(document['tags']).toMatchObject([
    { name: 'Task: get_circle_area', description: 'What get_circle_area does' },
    { name: 'Task: grow' },
    { name: 'Monitoring' },
    { name: 'File Management' },
    { name: 'Task Control' },
  ]);
  expect(at(document, 'components/schemas/get_circle_area.Params')).toMatchObject({
    properties: { radius: { type: 'number', exclusiveMinimum: 0 } },
  });
  expect(at(document, 'components/schemas/get_circle_area.Result')).toMatchObject({ properties: { area: { type: 'number' } } });
});

test('routes that are switched off are left out', () => {
  const none = {
    docs: false,
    redoc: false,
    statusInfo: false,
    run: false,
    create: false,
    check: false,
    revoke: false,
    download: false,
    upload: false,
  };
  expect(Object.keys(Object(openApiDocument(tasks, none)['paths']))).toEqual(['/health', '/ready']);
});

test('examples fit their schemas', () => {
  for (const { params } of tasks) expect(exampleOf(params)).not.toBeNull();
  expect(exampleOf(tasks[0]?.params ?? {})).toEqual({ radius: 1 });
  expect(
    exampleOf({ ...z.toJSONSchema(z.object({ a: z.int(), b: z.enum(['x', 'y']), c: z.array(z.string()), d: z.number().max(0.5) })) }),
  ).toEqual({ a: 1, b: 'x', c: ['text'], d: 0.5 });
});

function at(document: unknown, pointer: string): unknown {
  let value = document;
  for (const part of pointer.split('/'))
    value = typeof value === 'object' && value !== null ? Reflect.get(value, part.replaceAll('~1', '/').replaceAll('~0', '~')) : undefined;
  return value;
}

test('a second validator, that shares nothing with the first, finds no fault either', async () => {
  const config = await createConfig({ extends: ['spec'] });
  const faultsOf = async (document: unknown) =>
    (await lintFromString({ source: JSON.stringify(document), config })).map(({ ruleId, message }) => `${ruleId}: ${message}`);
  expect(await faultsOf(openApiDocument(tasks, all))).toEqual([]);
  expect(await faultsOf({ ...openApiDocument(tasks, all), paths: { '/x': { get: { responses: { 200: {} } } } } })).not.toEqual([]);
});

test('every operation has an answer with an example or a schema, its errors, and who may call it', () => {
  const document = openApiDocument(tasks, all);
  const paths = Object(document['paths']) as Record<string, Record<string, { responses: Record<string, unknown>; security?: unknown[] }>>;
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, { responses, security }] of Object.entries(methods)) {
      const statuses = Object.keys(responses);
      const what = `${method} ${path}`;
      if (security !== undefined) expect([what, security]).toEqual([what, [{}]]);
      else expect(statuses, what).toEqual(expect.arrayContaining(['200', '401', '403', '429', '500', '503']));
    }
  }
  expect(document['security']).toEqual([{ HTTPBasic: [] }, { Key: [] }, {}]);
});

test('every code of an error is listed, with its status', () => {
  const responses = JSON.stringify(Object(openApiDocument(tasks, all)['components']).responses);
  for (const [code, { status }] of Object.entries(errorCodes)) {
    expect(responses).toContain(`"Error${status}"`);
    expect(responses).toContain(`"${code}"`);
  }
});
