/** Requests that `npm run fuzz` has found to be answered wrongly. */
import { request } from 'node:https';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ApiNode, startApiNode } from './api-node.ts';

let node: ApiNode;

beforeAll(async () => {
  node = await startApiNode();
});
afterAll(() => node.stop());

/** A GET whose target stands in the request as it is given here. */
function get(path: string): Promise<{ status: number | undefined; headers: Readonly<Record<string, unknown>>; body: string }> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port: node.port, path, agent: false, rejectUnauthorized: false };
    request(options, (answer) => {
      text(answer).then((body) => resolve({ status: answer.statusCode, headers: answer.headers, body }), reject);
    })
      .on('error', reject)
      .end();
  });
}

test.each(['http://', 'http://[::1', 'http://[', 'http://[::1:x/'])(
  'the target %s is no URL: 400, in the form of every error',
  async (target) => {
    const { status, headers, body } = await get(target);
    expect([status, JSON.parse(body)]).toEqual([400, { detail: 'The target of the request is no URL' }]);
    expect(headers).toMatchObject({ 'fasttask-error': 'target_invalid', 'x-request-id': expect.stringMatching(/^[0-9a-f-]{36}$/) });
    expect(node.process.output.join('\n')).not.toContain('DeprecationWarning');
  },
);
