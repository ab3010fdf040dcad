import { existsSync } from 'node:fs';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ApiNode, startApiNode } from '../integration/api-node.ts';

const CHROMIUM = process.env['CHROMIUM_PATH'] ?? '/usr/bin/chromium';

let node: ApiNode;
let browser: Browser;

beforeAll(async () => {
  if (!existsSync(CHROMIUM)) throw new Error(`the tests of the pages need Chromium, expected ${CHROMIUM} (or CHROMIUM_PATH)`);
  node = await startApiNode();
  await node.startConsumer();
  browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
});
afterAll(async () => {
  await browser?.close();
  await node?.stop();
});

/** Opens a page and keeps what it asks for and complains about. */
async function visit(path: string): Promise<{ page: Page; requests: string[]; complaints: string[] }> {
  const page = await browser.newPage({ ignoreHTTPSErrors: true });
  const requests: string[] = [];
  const complaints: string[] = [];
  page.on('request', (request) => requests.push(request.url()));
  page.on('requestfailed', (request) => complaints.push(`${request.url()} ${request.failure()?.errorText}`));
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error' || /Content Security Policy/.test(message.text())) complaints.push(message.text());
  });
  await page.goto(`${node.api.origin}${path}`);
  return { page, requests, complaints };
}

/** What went elsewhere than to this server (data: and blob: leave no machine). */
function elsewhere(requests: readonly string[]): string[] {
  return requests.filter((url) => !url.startsWith(`${node.api.origin}/`) && !/^(data|blob):/.test(url));
}

test('/docs renders with requests to this server alone, and "Try it out" runs a task', async () => {
  const { page, requests, complaints } = await visit('/docs');
  const run = page.locator('#operations-Task\\:_get_circle_area-run_get_circle_area, [id$="run_get_circle_area"]').first();
  await run.locator('.opblock-summary').click();
  await run.getByRole('button', { name: 'Try it out' }).click();
  await run.locator('textarea.body-param__text').fill('{"radius": 5}');
  await run.getByRole('button', { name: 'Execute' }).click();
  const answer = run.locator('.live-responses-table .highlight-code').first();
  await answer.waitFor();
  expect(await answer.textContent()).toContain('78.53981633974483');
  expect(elsewhere(requests)).toEqual([]);
  expect(requests).toContain(`${node.api.origin}/openapi.json`);
  expect(requests).toContain(`${node.api.origin}/run/get_circle_area`);
  expect(complaints).toEqual([]);
  await page.close();
});

test('the example of "Try it out" is a body that the task takes as it is', async () => {
  const { page } = await visit('/docs');
  const run = page.locator('[id$="run_get_circle_area"]').first();
  await run.locator('.opblock-summary').click();
  await run.getByRole('button', { name: 'Try it out' }).click();
  expect(JSON.parse(await run.locator('textarea.body-param__text').inputValue())).toEqual({ radius: 5 });
  await page.close();
});

test('/redoc renders with requests to this server alone', async () => {
  const { page, requests, complaints } = await visit('/redoc');
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
