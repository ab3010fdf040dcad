import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { projectDir } from '../../shared/config.ts';
import { isVariableName, rules, variableNames, variables } from '../../shared/config-variables.ts';
import { errorCodes } from '../../shared/error-codes.ts';
import { variablesTable } from '../support/variables-table.ts';

const deployReadme = readFileSync(join(projectDir, 'deploy', 'README.md'), 'utf8');

/** The names that users of the Python FastTask have in their compose files. */
const olderNames =
  `RUNNING_ID NODE_TYPE SOFT_TIME_LIMIT TIME_LIMIT VISIBILITY_TIMEOUT LOADED_TASKS FASTTASK_DIR FILES_DIR FASTTASK_FILES_DIR
  LOG_DIR CONF_DIR SSL_CERT_DIR SSL_KEYFILE SSL_CERTFILE CELERY_DIR WORKER_POOL WORKER_CONCURRENCY MASTER_HOST TASK_QUEUE_PORT
  TASK_QUEUE_PASSWD UVICORN_WORKERS API_DOCS API_REDOC API_STATUS_INFO API_RUN API_CREATE API_CHECK API_REVOKE API_FILE_DOWNLOAD
  API_FILE_UPLOAD RESULT_EXPIRES ENABLED_TASKS DISABLED_TASKS FILE_CLEANUP_ENABLED FILE_EXPIRATION_SECONDS WORKER_TAG DEBUG`.split(/\s+/);

test('the table of variables in deploy/README.md is the one that the code gives', () => {
  const start = deployReadme.indexOf('| Variable | Read by |');
  const written = deployReadme.slice(start, deployReadme.indexOf('\n\n', start));
  const table = variablesTable();
  if (written !== table) {
    mkdirSync(join(projectDir, '.tmp'), { recursive: true });
    writeFileSync(join(projectDir, '.tmp', 'variables.md'), `${table}\n`);
  }
  expect(written, 'the new table is in .tmp/variables.md').toBe(table);
});

test('the table of errors in deploy/README.md is the registry of the code', () => {
  const start = deployReadme.indexOf('| Code | Status |');
  const written = deployReadme.slice(start, deployReadme.indexOf('\n\n', start));
  const rows = Object.entries(errorCodes).map(([code, { status, meaning }]) => `| \`${code}\` | ${status} | ${meaning} |`);
  expect(written).toBe(['| Code | Status | Meaning |', '|---|---|---|', ...rows].join('\n'));
});

test('every variable has a rule and a description', () => {
  expect([...variableNames].sort()).toEqual(Object.keys(rules).sort());
});

test('every name of the Python FastTask is known', () => {
  expect(olderNames.filter((name) => !isVariableName(name))).toEqual([]);
});

const withDefault = variableNames.flatMap((name) => {
  const rule: { default?: unknown } = rules[name];
  return rule.default === undefined ? [] : [[name, rule.default] as const];
});

test.each(withDefault)('the documented default of %s is the real one, %s', (name, value) => {
  const real = typeof value === 'boolean' ? (value ? 'True' : 'False') : String(value);
  expect(variables[name].shows.split(' ')[0]).toBe(real);
});

test('every file that a page links to exists', () => {
  for (const page of ['README.md', 'README.zh-CN.md', 'services/README.md', 'deploy/README.md', 'CONTRIBUTING.md']) {
    const text = readFileSync(join(projectDir, page), 'utf8');
    for (const [, target] of text.matchAll(/\]\((?!https?:)([^)#]+)/g)) {
      expect(existsSync(join(projectDir, page, '..', String(target))), `${page} → ${target}`).toBe(true);
    }
  }
});
