import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ApiNode, startApiNode } from '../integration/api-node.ts';
import { launchBrowser, tryItOut, visit } from '../support/browser.ts';
import { until } from '../support/until.ts';

let node: ApiNode;
let browser: Browser;

beforeAll(async () => {
  node = await startApiNode();
  await node.startConsumer();
  browser = await launchBrowser();
});
afterAll(async () => {
  await browser?.close();
  await node?.stop();
});

/** What went elsewhere than to this server (data: and blob: leave no machine). */
function elsewhere(requests: readonly string[]): string[] {
  return requests.filter((url) => !url.startsWith(`${node.api.origin}/`) && !/^(data|blob):/.test(url));
}

test('/docs renders with requests to this server alone, and "Try it out" runs a task', async () => {
  const { page, requests, complaints } = await visit(browser, `${node.api.origin}/docs`);
  expect(await tryItOut(page, 'run_get_circle_area', '{"radius": 5}')).toContain('78.53981633974483');
  expect(elsewhere(requests)).toEqual([]);
  expect(requests).toContain(`${node.api.origin}/openapi.json`);
  expect(requests).toContain(`${node.api.origin}/run/get_circle_area`);
  expect(complaints).toEqual([]);
  await page.close();
});

test('the example of "Try it out" is a body that the task takes as it is', async () => {
  const { page } = await visit(browser, `${node.api.origin}/docs`);
  const run = page.locator('[id$="run_get_circle_area"]').first();
  await run.locator('.opblock-summary').click();
  await run.getByRole('button', { name: 'Try it out' }).click();
  expect(JSON.parse(await run.locator('textarea.body-param__text').inputValue())).toEqual({ radius: 5 });
  await page.close();
});

test('/redoc renders with requests to this server alone', async () => {
  const { page, requests, complaints } = await visit(browser, `${node.api.origin}/redoc`);
  await page
    .getByRole('heading', { name: /Run get_circle_area and wait/ })
    .first()
    .waitFor();
  await page
    .getByRole('heading', { name: /Revoke a job/ })
    .first()
    .waitFor();
  expect(elsewhere(requests)).toEqual([]);
  expect(requests).toContain(`${node.api.origin}/openapi.json`);
  expect(complaints).toEqual([]);
  await page.close();
});

test('with accounts /docs asks for a login; a person signs in, tries a task and sees its result', async () => {
  writeFileSync(join(node.files, 'fasttask', 'conf', 'user_to_passwd.json'), '{"ann":"a long secret"}');
  await until(async () => (await node.api.get('/docs')).status === 401, { what: 'the account to be noticed', timeoutMs: 10_000 });
  expect((await node.api.get('/docs')).headers['www-authenticate']).toBe('Basic');

  const stranger = await visit(browser, `${node.api.origin}/docs`, { signIn: { username: 'ann', password: 'wrong' } });
  expect(await stranger.page.locator('#swagger-ui').count()).toBe(0);
  await stranger.page.close();

  const { page, complaints } = await visit(browser, `${node.api.origin}/docs`, { signIn: { username: 'ann', password: 'a long secret' } });
  expect(await tryItOut(page, 'run_get_circle_area', '{"radius": 2}')).toContain('12.566370614359172');
  expect(complaints).toEqual([]);
  await page.close();
});
