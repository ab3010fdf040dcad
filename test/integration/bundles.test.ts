import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { projectDir } from '../../shared/config.ts';
import { run } from '../support/processes.ts';
import { tempDir } from '../support/temp.ts';

const bundleOf = (service: string) => join(projectDir, 'dist/services', service, 'bundle.js');

describe.each(['api', 'consumer', 'janitor'])('the bundle of the %s', (service) => {
  it('names our own sources in its source map, and no package', () => {
    const { sources } = JSON.parse(readFileSync(`${bundleOf(service)}.map`, 'utf8')) as { sources: string[] };
    expect(sources).toContain(`../../../services/${service}/main.ts`);
    expect(sources.filter((source) => source.includes('node_modules'))).toEqual([]);
  });

  it('is plain ASCII, of which V8 keeps one byte for each character', () => {
    expect(readFileSync(bundleOf(service)).every((byte) => byte < 128)).toBe(true);
  });
});

it('a stack from a bundle names the line of the source', async () => {
  // Where nothing was prepared the janitor cannot write its certificate: a fault that nobody has foreseen.
  const env = { NODE_TYPE: 'single_node', FILES_DIR: tempDir('unprepared') };
  const { code, output } = await run(process.execPath, ['--enable-source-maps', bundleOf('janitor')], { env });
  expect(code).toBe(1);
  const [, line] = /ensureCertificate \(.*shared\/certificate\.ts:(\d+):/.exec(output) ?? [];
  expect(line, output).toBeDefined();
  const source = readFileSync(join(projectDir, 'shared/certificate.ts'), 'utf8').split('\n');
  expect(source[Number(line) - 1]).toContain('writeFileSync');
});
