import { afterAll, beforeAll, expect, it } from 'vitest';
import { jobOf } from '../support/https.ts';
import { until } from '../support/until.ts';
import { type ApiNode, startApiNode } from './api-node.ts';

let node: ApiNode;

beforeAll(async () => {
  node = await startApiNode();
  await node.startConsumer();
});
afterAll(() => node.stop());

it('gives the lines of a job, oldest first, with what it printed and logged', async () => {
  const { id } = jobOf(await node.api.post('/run/talks', { name: 'it' }));
  const lines = async () =>
    ((await node.api.get(`/jobs/${id}/logs`)).body as { lines: { level: string; message: string; fields?: unknown; time: string }[] })
      .lines;
  await until(async () => (await lines()).length === 3, { what: 'the lines' });
  expect(await lines()).toEqual([
    { level: 'info', message: 'it 0', time: expect.any(String) },
    { level: 'warn', message: 'it warns', time: expect.any(String) },
    { level: 'info', message: 'it logs', fields: { name: 'it' }, time: expect.any(String) },
  ]);
});

it('answers 404 for a job that it does not know', async () => {
  const { id } = jobOf(await node.api.post('/run/talks', { name: 'it' }));
  for (const unknown of [id.replace(/.$/, (last) => (last === '0' ? '1' : '0')), 'nonsense', `other-${id}`]) {
    expect(await node.api.get(`/jobs/${unknown}/logs`)).toMatchObject({ status: 404, body: { detail: expect.stringContaining('no job') } });
  }
});
