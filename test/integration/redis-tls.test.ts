import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { projectDir } from '../../shared/config.ts';
import { jobOf } from '../support/https.ts';
import { startService, type TestProcess } from '../support/processes.ts';
import { type ApiNode, startApiNode } from './api-node.ts';

const USER = { name: 'fasttask', password: 'p@ss/w:rd%' };

/** The rights that deploy/README.md gives for FastTask's own user. */
const rule = /^user fasttask .*$/m.exec(readFileSync(join(projectDir, 'deploy/README.md'), 'utf8'))?.[0] ?? '';

let node: ApiNode;

beforeAll(async () => {
  expect(rule).toContain('>PASSWORD');
  node = await startApiNode({ API_RATE_LIMIT: '5000' }, { kind: 'rediss', args: [rule.replace('PASSWORD', USER.password)], user: USER });
  await node.startConsumer();
});
afterAll(() => node.stop());

describe('over TLS with a client certificate, as a user with the least rights', () => {
  it('everything works, and Redis has refused nothing', async () => {
    const { api } = node;
    expect(await api.post('/run/get_circle_area', { radius: 1 })).toMatchObject({ status: 200, body: { state: 'SUCCESS' } });
    const talked = jobOf(await api.post('/run/talks', { name: 'ann' }));
    expect(talked.state).toBe('SUCCESS');
    expect((await api.get(`/check/${talked.id}/logs`)).status).toBeLessThan(500);
    const batch = await api.post('/create/noop/batch', [{}, {}, {}]);
    for (const id of (batch.body as { ids: string[] }).ids) await node.reaches(id, 'SUCCESS');
    expect(jobOf(await api.post('/run/misbehave', { way: 'throw' })).state).toBe('FAILURE');

    const keyed = { fasttask_concurrency_params: { concurrency_key: 'k', max_concurrency: 1 } };
    const [first, second] = [
      jobOf(await api.post('/create/wait', { seconds: 20, ...keyed })),
      jobOf(await api.post('/create/wait', { seconds: 0, ...keyed })),
    ];
    await node.reaches(first.id, 'STARTED');
    await node.reaches(second.id, 'RETRY');
    expect((await api.post('/revoke', { result_id: first.id })).body).toMatchObject({ status: 'SUCCESS' });
    await node.reaches(first.id, 'REVOKED');
    await node.reaches(second.id, 'SUCCESS');
    const status = await api.post('/status_info', { fields: ['worker_status', 'task_info', 'pending_task_count'] });
    expect(status).toMatchObject({ status: 200, body: { worker_status: { online_worker_count: 1 } } });

    const [refused] = await node.redis.onMasters((server) => server.call('ACL', 'LOG'));
    expect(refused).toEqual([]);
    const [users] = await node.redis.onMasters((server) => server.client('LIST'));
    expect(String(users)).toContain(`user=${USER.name}`);
  });

  it('the user has no more than that', async () => {
    const outcomes = await node.redis.onMasters(async (server) => {
      const tries = [['FLUSHALL'], ['CONFIG', 'GET', '*'], ['KEYS', '*'], ['GET', 'other:key'], ['PUBLISH', 'other', 'x'], ['ACL', 'LIST']];
      return await Promise.all(tries.map(async (words) => String(await server.call('ACL', 'DRYRUN', USER.name, ...words))));
    });
    for (const outcome of outcomes.flat()) expect(outcome).toMatch(/no permissions/);
  });
});

describe('what cannot connect says why and goes on trying', () => {
  const started: TestProcess[] = [];
  afterAll(async () => {
    for (const process of started) await process.kill9();
  });

  it.each([
    [
      'no client certificate',
      { REDIS_TLS_CERT: '', REDIS_TLS_KEY: '' },
      /certificate required|ECONNRESET|EPIPE|CERTIFICATE_REQUIRED|closed/i,
    ],
    [
      'a server of an unknown authority',
      { REDIS_TLS_CA: '' },
      /self-signed certificate|unable to verify|DEPTH_ZERO_SELF_SIGNED_CERT|UNABLE_TO_VERIFY/,
    ],
  ])('%s', async (_, env, reason) => {
    const consumer = await startService('consumer', { ...node.env, ...env });
    started.push(consumer);
    const line = await consumer.waitForEvent('redis.connection_failed', { timeoutMs: 45_000 });
    expect(line['reason']).toMatch(reason);
    expect(consumer.alive).toBe(true);
    expect(consumer.output.join('\n')).not.toContain(encodeURIComponent(USER.password));
  });
});
