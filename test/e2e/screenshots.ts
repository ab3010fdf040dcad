/** Pictures of the pages, for whoever wants to see them: `npm run screenshots`. They go to .tmp/screenshots, which git ignores. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { projectDir } from '../../shared/config.ts';
import { startApiNode } from '../integration/api-node.ts';
import { launchBrowser, tryItOut, visit } from '../support/browser.ts';
import { runProgram } from '../support/program.ts';

const viewport = { width: 1280, height: 1000 };

await runProgram(async () => {
  const folder = join(projectDir, '.tmp', 'screenshots');
  mkdirSync(folder, { recursive: true });
  const node = await startApiNode();
  await node.startConsumer();
  const browser = await launchBrowser();
  const shots: [name: string, path: string, prepare: (page: Awaited<ReturnType<typeof visit>>['page']) => Promise<unknown>][] = [
    ['docs', '/docs', (page) => page.locator('[id$="run_get_circle_area"]').first().waitFor()],
    ['docs-result', '/docs', (page) => tryItOut(page, 'run_get_circle_area', '{"radius": 5}')],
    [
      'redoc',
      '/redoc',
      (page) =>
        page
          .getByRole('heading', { name: /Revoke a job/ })
          .first()
          .waitFor(),
    ],
  ];
  try {
    for (const [name, path, prepare] of shots) {
      const { page } = await visit(browser, `${node.api.origin}${path}`, { viewport });
      await prepare(page);
      const file = join(folder, `${name}.png`);
      await page.screenshot({ path: file });
      process.stdout.write(`${file}\n`);
      await page.close();
    }
  } finally {
    await browser.close();
    await node.stop();
  }
});
