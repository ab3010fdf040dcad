import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const root = fileURLToPath(new URL('.', import.meta.url));

/** The true first start (npm ci, build, Redis) takes minutes: only `.ci/run` asks for it. */
const fresh = process.env['FASTTASK_FRESH'] === '1';

/** `.ci/run` adds up the results of several runs; each writes its own file. */
const report = process.env['FASTTASK_TEST_REPORT'];

/** Tests that start processes share one leak check and need a build and a Redis. */
const withProcesses = {
  globalSetup: ['test/support/global-setup.ts'],
  setupFiles: ['test/support/leak-check.ts'],
};

const installations = { ...withProcesses, testTimeout: 180_000, hookTimeout: 180_000 };

/** Has limits of a few seconds: nothing runs beside it. */
const timed = 'test/e2e/start.test.ts';

export default defineConfig({
  root,
  resolve: { alias: { fasttask: `${root}shared/fasttask.ts` } },
  test: {
    pool: 'forks',
    reporters: report === undefined ? ['default'] : ['default', ['json', { outputFile: report }]],
    restoreMocks: true,
    unstubEnvs: true,
    projects: [
      {
        extends: true,
        test: { name: 'unit', include: ['test/unit/**/*.test.ts'], maxWorkers: 2, sequence: { groupOrder: 0 } },
      },
      {
        extends: true,
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          ...withProcesses,
          maxWorkers: 2,
          testTimeout: 90_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          exclude: [timed, ...(fresh ? [] : ['test/e2e/fresh-clone.test.ts'])],
          ...installations,
          maxWorkers: 2,
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: { name: 'e2e-timed', include: [timed], ...installations, fileParallelism: false, sequence: { groupOrder: 3 } },
      },
      {
        extends: true,
        test: {
          name: 'network',
          include: ['test/network/**/*.test.ts'],
          ...withProcesses,
          fileParallelism: false,
          testTimeout: 90_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 4 },
        },
      },
    ],
  },
});
