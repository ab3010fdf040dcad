import { expect, it } from 'vitest';
import { packageOf, profileText, summarise } from '../bench/profile.ts';

const frame = (functionName: string, url = '', lineNumber = 0) => ({ functionName, url, lineNumber });

it.each([
  [frame('add', 'file:///x/node_modules/bullmq/dist/esm/classes/queue.js'), 'bullmq'],
  [frame('handle', 'file:///x/node_modules/@koa/router/lib/router.js'), '@koa/router'],
  [frame('deep', 'file:///x/node_modules/a/node_modules/b/index.js'), 'b'],
  [frame('submit', 'file:///x/dist/shared/jobs.js'), 'shared'],
  [frame('main', 'file:///x/dist/services/api/main.js'), 'services/api'],
  [frame('writev', 'node:net'), 'node'],
  [frame('writev'), 'native'],
  [frame('toString'), 'native'],
  [frame('(garbage collector)'), 'gc'],
  [frame('(idle)'), 'idle'],
])('knows whose function it is: %j is %s', (callFrame, home) => {
  expect(packageOf(callFrame)).toBe(home);
});

it('sums samples up by function and by package, the largest first', () => {
  const file = 'file:///x/node_modules/bullmq/queue.js';
  const profile = {
    nodes: [
      { callFrame: frame('add', file, 9), hitCount: 2 },
      { callFrame: frame('add', file, 9), hitCount: 4 },
      { callFrame: frame('', file, 19), hitCount: 1 },
      { callFrame: frame('(idle)'), hitCount: 3 },
      { callFrame: frame('(root)'), hitCount: 0 },
    ],
  };
  expect(summarise(profile)).toEqual({
    functions: [
      { name: 'add bullmq/queue.js:10', share: 0.6 },
      { name: 'idle', share: 0.3 },
      { name: '(anonymous) bullmq/queue.js:20', share: 0.1 },
    ],
    packages: [
      { name: 'bullmq', share: 0.7 },
      { name: 'idle', share: 0.3 },
    ],
  });
  expect(profileText(profile)).toContain(' 70.0 %  bullmq');
});
