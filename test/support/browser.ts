import { existsSync } from 'node:fs';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';

const CHROMIUM = process.env['CHROMIUM_PATH'] ?? '/usr/bin/chromium';

/** Starts Chromium without a window. @throws Error that says where it was looked for */
export async function launchBrowser(): Promise<Browser> {
  if (!existsSync(CHROMIUM)) throw new Error(`the pages need Chromium, expected ${CHROMIUM} (or CHROMIUM_PATH)`);
  return await chromium.launch({
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
}

export interface Visit {
  page: Page;
  /** The addresses that it has asked for. */
  requests: string[];
  /** Failed requests, errors of scripts, and what the page's policy has stopped. */
  complaints: string[];
}

/** Opens a page and keeps what it asks for and complains about. `signIn`: what a person types into the browser's own form. */
export async function visit(
  browser: Browser,
  url: string,
  { signIn, viewport }: { signIn?: { username: string; password: string }; viewport?: { width: number; height: number } } = {},
): Promise<Visit> {
  const options: BrowserContextOptions = { ignoreHTTPSErrors: true };
  if (signIn !== undefined) options.httpCredentials = signIn;
  if (viewport !== undefined) options.viewport = viewport;
  const page = await browser.newPage(options);
  const requests: string[] = [];
  const complaints: string[] = [];
  page.on('request', (request) => requests.push(request.url()));
  page.on('requestfailed', (request) => complaints.push(`${request.url()} ${request.failure()?.errorText}`));
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error' || /Content Security Policy/.test(message.text())) complaints.push(message.text());
  });
  await page.goto(url);
  return { page, requests, complaints };
}

/** Runs a task on /docs as a person does, and gives the text of the answer. */
export async function tryItOut(page: Page, operation: string, body: string): Promise<string> {
  const run = page.locator(`[id$="${operation}"]`).first();
  await run.locator('.opblock-summary').click();
  await run.getByRole('button', { name: 'Try it out' }).click();
  await run.locator('textarea.body-param__text').fill(body);
  await run.getByRole('button', { name: 'Execute' }).click();
  const answer = run.locator('.live-responses-table .highlight-code').first();
  await answer.waitFor();
  return (await answer.textContent()) ?? '';
}
