// Adds up the reports of vitest in a folder and prints "N passed, N failed" as the last line. A step that failed although no
// test of its report did (lint, an installation) counts as one failure.
// node .ci/tally.mjs <folder> [failed steps…]; exit code 1 when anything failed.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const [folder, ...brokenSteps] = process.argv.slice(2);
const reports = readdirSync(folder)
  .filter((name) => name.endsWith('.json'))
  .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')));

let passed = 0;
let failed = 0;
for (const { numPassedTests, numFailedTests, success, testResults } of reports) {
  // A file fails by itself when it cannot be loaded, or when its leak check finds something.
  const files = testResults.filter(
    ({ status, assertionResults }) => status === 'failed' && assertionResults.every((test) => test.status !== 'failed'),
  );
  const known = numFailedTests + files.length;
  passed += numPassedTests;
  failed += known === 0 && !success ? 1 : known;
}
for (const step of brokenSteps) console.log(`step failed: ${step}`);
failed = Math.max(failed, brokenSteps.length);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
