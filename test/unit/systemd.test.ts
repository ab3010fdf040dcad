import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { appsFor } from '../../services/supervisor/apps.ts';
import { loadConfig, projectDir } from '../../shared/config.ts';
import { removeTempDirs, tempDir } from '../support/temp.ts';

afterAll(removeTempDirs);

const unit = readFileSync(join(projectDir, 'deploy/systemd/fasttask@.service'), 'utf8');

const analyzer = spawnSync('systemd-analyze', ['--version']).status === 0;
if (!analyzer) process.stdout.write('systemd-analyze is not installed: the unit is read here, and not checked by systemd\n');

/** Of a setting of the unit: everything that it was set to. */
const values = (name: string) =>
  unit
    .split('\n')
    .filter((line) => line.startsWith(`${name}=`))
    .map((line) => line.slice(name.length + 1));

/** What systemd says of a unit, as the node `master`; nothing when it has no fault. */
function verified(text: string): string {
  const dir = tempDir('unit');
  writeFileSync(join(dir, 'fasttask@.service'), text);
  const { stdout, stderr } = spawnSync('systemd-analyze', ['verify', join(dir, 'fasttask@master.service')], { encoding: 'utf8' });
  return (stdout + stderr).trim();
}

/** The programs of the installation lie elsewhere here. */
const here = unit.replaceAll('/opt/fasttask/', `${projectDir.replace(/\/$/, '')}/`);

test.skipIf(!analyzer)(
  'systemd finds no fault in the unit, and would',
  () => {
    expect(verified(here)).toBe('');
    expect(verified(here.replace('Restart=always', 'Restart=allways'))).toContain('allways');
    expect(verified(here.replace('pm2-runtime', 'pm2-walktime'))).toContain('pm2-walktime');
  },
  60_000,
);

test.skipIf(!analyzer)(
  'systemd rates the exposure of the unit at 2 of 10 or less, and a bare one far worse',
  () => {
    const dir = tempDir('unit');
    const rate = (text: string) => {
      const file = join(dir, 'rated.service');
      writeFileSync(file, text);
      return spawnSync('systemd-analyze', ['security', '--offline=true', '--threshold=20', '--no-pager', file]).status;
    };
    expect(rate(here)).toBe(0);
    expect(rate(here.replace(/^(Protect|Private|Restrict|Capability|SystemCall|NoNew).*\n/gm, ''))).not.toBe(0);
  },
  60_000,
);

test('it runs as a user of its own, writes only what is its own, and hides its settings in a file', () => {
  expect(values('User')).toEqual(['fasttask']);
  expect(values('EnvironmentFile')).toEqual(['/etc/fasttask/%i.env']);
  expect(values('ProtectSystem')).toEqual(['strict']);
  expect(values('ReadWritePaths')).toEqual([]);
  const [environment = ''] = values('Environment');
  expect(environment).toContain(`FILES_DIR=%S/${values('StateDirectory')[0]} PM2_HOME=%t/${values('RuntimeDirectory')[0]}`);
  // Node could not run: it compiles while it runs.
  expect(values('MemoryDenyWriteExecute')).toEqual([]);
});

test('it starts and stops as a container does, which container-stop.test.ts tries', () => {
  const script = readFileSync(join(projectDir, 'deploy/container/fasttask'), 'utf8');
  for (const [setting, prefix] of [
    ['ExecStart', '/opt/fasttask/'],
    ['ExecStop', '/usr/bin/env '],
  ] as const) {
    const [command = ''] = values(setting);
    expect(command.startsWith(prefix)).toBe(true);
    expect(script).toMatch(new RegExp(`^ *${command.slice(prefix.length).replaceAll('.', '\\.')} (&|\\|\\|)`, 'm'));
  }
});

test('a stopping node has longer than all of its services may take, and a failing one is started for ever', () => {
  const config = loadConfig({ NODE_TYPE: 'single_node', FILES_DIR: tempDir('files') });
  const facts = { environment: {}, projectDir, node: process.execPath, cores: 1, secretsFile: '' };
  const redis = { command: '', env: {}, conf: '', confDigest: '' };
  const apps = appsFor(config, { ...facts, redis }).filter(({ autorestart }) => autorestart);
  expect(apps.map(({ name }) => name)).toEqual(['redis', 'api', 'consumer']);
  const longest = apps.reduce((sum, { kill_timeout }) => sum + kill_timeout / 1000, 0);
  expect(Number(values('TimeoutStopSec')[0])).toBeGreaterThan(longest);
  expect(values('KillMode')).toEqual(['mixed']);
  expect(values('Restart')).toEqual(['always']);
  expect(values('StartLimitIntervalSec')).toEqual(['0']);
});
