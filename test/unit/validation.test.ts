import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { parseJson } from '../../services/api/json-body.ts';
import { findJsonFault } from '../../services/api/json-fault.ts';
import { preferredWait } from '../../services/api/prefer.ts';
import { timeLimitsOf } from '../../services/api/time-limits.ts';
import { compile, SchemaInvalidError } from '../../services/api/validation.ts';
import { ValidationError, type ValidationIssue } from '../../shared/errors.ts';
import type { TaskDescriptor } from '../../shared/registry.ts';

const check = (schema: z.ZodType, value: unknown): ValidationIssue[] =>
  compile({ ...z.toJSONSchema(schema, { io: 'input' }) }, 'test')(value, ['body'], 10);

describe('every problem is told in the words of the older FastTask', () => {
  const cases: [string, z.ZodType, unknown, Partial<ValidationIssue>[]][] = [
    ['a missing body', z.object({}), undefined, [{ type: 'missing', loc: ['body'], msg: 'Field required', input: null }]],
    [
      'each missing field',
      z.object({ a: z.number(), b: z.number() }),
      {},
      [
        { type: 'missing', loc: ['body', 'a'], input: {} },
        { type: 'missing', loc: ['body', 'b'] },
      ],
    ],
    ['a list for an object', z.object({ a: z.number() }), [1], [{ type: 'model_attributes_type', loc: ['body'], input: [1] }]],
    [
      'text for a number',
      z.object({ a: z.number() }),
      { a: '1' },
      [{ type: 'float_type', msg: 'Input should be a valid number', input: '1' }],
    ],
    ['true for a number', z.object({ a: z.number() }), { a: true }, [{ type: 'float_type' }]],
    ['text for an integer', z.object({ a: z.int() }), { a: '1' }, [{ type: 'int_type' }]],
    [
      'a fraction for an integer',
      z.object({ a: z.int() }),
      { a: 1.5 },
      [{ type: 'int_from_float', msg: 'Input should be a valid integer, got a number with a fractional part' }],
    ],
    ['a number for text', z.object({ a: z.string() }), { a: 5 }, [{ type: 'string_type', loc: ['body', 'a'] }]],
    ['text for a boolean', z.object({ a: z.boolean() }), { a: 'maybe' }, [{ type: 'bool_type' }]],
    ['text for a list', z.object({ a: z.array(z.string()) }), { a: 'x' }, [{ type: 'list_type' }]],
    [
      'an item of a list',
      z.object({ a: z.array(z.string()) }),
      { a: ['x', 1] },
      [{ type: 'string_type', loc: ['body', 'a', 1], input: 1 }],
    ],
    [
      'a number too low',
      z.object({ a: z.number().positive() }),
      { a: 0 },
      [{ type: 'greater_than', msg: 'Input should be greater than 0', ctx: { gt: 0 } }],
    ],
    ['a number below its least', z.object({ a: z.number().min(2) }), { a: 1 }, [{ type: 'greater_than_equal', ctx: { ge: 2 } }]],
    ['a number too high', z.object({ a: z.number().lt(2) }), { a: 2 }, [{ type: 'less_than', ctx: { lt: 2 } }]],
    ['a number above its most', z.object({ a: z.number().max(2) }), { a: 3 }, [{ type: 'less_than_equal', ctx: { le: 2 } }]],
    [
      'text too short',
      z.object({ a: z.string().min(1) }),
      { a: '' },
      [{ type: 'string_too_short', msg: 'String should have at least 1 character', ctx: { min_length: 1 } }],
    ],
    [
      'text too long',
      z.object({ a: z.string().max(2) }),
      { a: 'abc' },
      [{ type: 'string_too_long', msg: 'String should have at most 2 characters' }],
    ],
    [
      'text of another pattern',
      z.object({ a: z.string().regex(/^x+$/) }),
      { a: 'y' },
      [{ type: 'string_pattern_mismatch', ctx: { pattern: '^x+$' } }],
    ],
    [
      'a list too short',
      z.object({ a: z.array(z.int()).min(1) }),
      { a: [] },
      [{ type: 'too_short', msg: 'List should have at least 1 item after validation, not 0' }],
    ],
    [
      'none of an enum',
      z.object({ a: z.enum(['x', 'y', 'z']) }),
      { a: 'w' },
      [{ type: 'literal_error', msg: "Input should be 'x', 'y' or 'z'", ctx: { expected: "'x', 'y' or 'z'" } }],
    ],
    [
      'an unknown field where the task forbids it',
      z.strictObject({ a: z.int() }),
      { a: 1, b: 2 },
      [{ type: 'extra_forbidden', loc: ['body', 'b'] }],
    ],
    ['a nullable number that is text', z.object({ a: z.number().nullable() }), { a: 'x' }, [{ type: 'float_type', loc: ['body', 'a'] }]],
    [
      'neither branch of a union',
      z.object({ a: z.union([z.number(), z.string()]) }),
      { a: true },
      [{ type: 'value_error', msg: 'Input should be a valid number or a valid string' }],
    ],
    [
      'the branch of a union that was meant',
      z.object({ a: z.union([z.number().positive(), z.string()]) }),
      { a: -1 },
      [{ type: 'greater_than', loc: ['body', 'a'] }],
    ],
  ];
  test.each(cases)('%s', (_, schema, value, expected) => {
    const issues = check(schema, value);
    expect(issues).toHaveLength(expected.length);
    for (const [index, issue] of expected.entries()) expect(issues[index]).toMatchObject(issue);
  });

  test('what fits is no problem: unknown fields, whole floats, null where it is allowed', () => {
    const schema = z.object({ a: z.int(), b: z.number().nullable(), c: z.string().optional() });
    expect(check(schema, { a: 1.0, b: null, more: 1 })).toEqual([]);
  });

  test('a tagged union tells the problem of the branch with that tag, or the tags', () => {
    const schema = z.object({
      shape: z.discriminatedUnion('kind', [
        z.object({ kind: z.literal('circle'), r: z.number() }),
        z.object({ kind: z.literal('square'), a: z.number() }),
      ]),
    });
    expect(check(schema, { shape: { kind: 'circle', r: 'x', a: 1 } })).toMatchObject([{ type: 'float_type', loc: ['body', 'shape', 'r'] }]);
    expect(check(schema, { shape: { kind: 'star', r: 1, a: 1 } })).toMatchObject([
      { type: 'literal_error', loc: ['body', 'shape', 'kind'], msg: "Input should be 'circle' or 'square'" },
    ]);
  });

  test('an input longer than 1 KB is cut', () => {
    const [issue] = check(z.object({ a: z.number() }), { a: 'x'.repeat(5000) });
    expect(String(issue?.input)).toHaveLength(1025);
  });

  test('inherited properties are no params', () => {
    expect(check(z.object({ constructor: z.string(), toString: z.string() }), {}).map(({ type }) => type)).toEqual(['missing', 'missing']);
  });

  test('a million faults of one body are not all kept', () => {
    const validate = compile({ ...z.toJSONSchema(z.array(z.string())) }, 'test');
    expect(
      validate(
        Array.from({ length: 1_000_000 }, () => 1),
        ['body'],
        2_000_000,
      ),
    ).toHaveLength(1);
  });

  test('a schema that cannot be compiled is the task’s fault', () => {
    expect(() => compile({ type: 'nmber' }, 'odd')).toThrow(SchemaInvalidError);
    expect(() => compile({ $ref: 'https://example.org/other' }, 'odd')).toThrow(/odd cannot be compiled/);
  });
});

describe('JSON bodies', () => {
  const faults: [string, number, string][] = [
    ['{"a": 1,', 8, 'Expecting property name enclosed in double quotes'],
    ['{"a" 1}', 5, "Expecting ':' delimiter"],
    ['{"a": 1 "b": 2}', 8, "Expecting ',' delimiter"],
    ['{"a": tru}', 6, 'Expecting value'],
    ['[1, NaN]', 4, 'Expecting value'],
    ['[1,]', 3, 'Expecting value'],
    ['{"a": "x', 6, 'Unterminated string starting at'],
    ['"a\nb"', 2, 'Invalid control character at'],
    ['"\\x"', 1, 'Invalid \\escape'],
    ['"\\u12"', 2, 'Invalid \\uXXXX escape'],
    ['{} {}', 3, 'Extra data'],
    ['01', 1, 'Extra data'],
    ['  ', 2, 'Expecting value'],
    ['a=1&b=2', 0, 'Expecting value'],
  ];
  test.each(faults)('%j breaks at %i', (text, position, reason) => {
    expect(() => JSON.parse(text)).toThrow();
    expect(findJsonFault(text)).toEqual({ position, reason });
    expect(() => parseJson(text, 64)).toThrow(ValidationError);
  });

  test.each(['{}', '[1, 2.5e-3, -0, "\\u00e9\\n", {"a": [true, false, null]}]', '"x"', ' 1 '])('%s has no fault', (text) => {
    expect(findJsonFault(text)).toBeUndefined();
    expect(parseJson(text, 64)).toEqual(JSON.parse(text));
  });

  test('nesting up to the limit is taken, one level more is not, and 100,000 levels cost next to nothing', () => {
    const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
    expect(parseJson(nested(64), 64)).toBeInstanceOf(Array);
    expect(() => parseJson(nested(65), 64)).toThrow('error parsing the body');
    expect(() => parseJson('['.repeat(100_000), 64)).toThrow('error parsing the body');
    expect(parseJson(JSON.stringify({ a: `"${'['.repeat(100)}\\` }), 3)).toEqual({ a: `"${'['.repeat(100)}\\` });
  });

  test.each(['{"__proto__":{"x":1},"a":1}', '{"__pr\\u006fto__":{"x":1},"a":1}', '{"\\u005f\\u005fproto__":{"x":1},"a":1}'])(
    '%s leaves no prototype behind',
    (text) => {
      const value = parseJson(text, 64);
      expect(Object.keys(Object(value))).toEqual(['a']);
      expect(Object.assign({}, value)).not.toHaveProperty('x');
    },
  );
});

describe('headers', () => {
  test.each([
    ['wait=5', 5],
    ['respond-async, wait=10', 10],
    ['wait=0', 0],
    ['wait="7"', 7],
    ['wait=1.5', undefined],
    ['wait=-1', undefined],
    ['wait=', undefined],
    ['await=3', undefined],
    ['', undefined],
  ])('Prefer: %s', (header, seconds) => expect(preferredWait(header)).toBe(seconds));

  const task: TaskDescriptor = { name: 't', description: '', params: {}, result: {}, digest: '1', timeLimit: 100 };
  const limits = { softSeconds: 60, hardSeconds: 120, visibilitySeconds: 180 };
  const read = (hard: string, soft: string) => () => timeLimitsOf((name) => (name === 'FastTask-Time-Limit' ? hard : soft), task, limits);

  test('lower the limits of a job, the soft one with the hard one', () => {
    expect(read('', '')()).toEqual({});
    expect(read('80', '')()).toEqual({ timeLimit: 80 });
    expect(read('10', '')()).toEqual({ timeLimit: 10, softTimeLimit: 9 });
    expect(read('10', '2.5')()).toEqual({ timeLimit: 10, softTimeLimit: 2.5 });
    expect(read('', '50')()).toEqual({ softTimeLimit: 50 });
  });

  test.each([
    ['101', '', 'less_than_equal'],
    ['', '61', 'less_than_equal'],
    ['0', '', 'greater_than'],
    ['x', '', 'float_type'],
    ['-1', '', 'float_type'],
    ['5', '5', 'less_than'],
  ])('%j and %j are refused', (hard, soft, type) => {
    let issues: readonly ValidationIssue[] = [];
    try {
      read(hard, soft)();
    } catch (error) {
      if (error instanceof ValidationError) issues = error.issues;
    }
    expect(issues).toMatchObject([
      {
        type,
        loc: [
          'header',
          hard !== '' && soft !== '' ? 'FastTask-Soft-Time-Limit' : hard === '' ? 'FastTask-Soft-Time-Limit' : 'FastTask-Time-Limit',
        ],
      },
    ]);
  });
});
