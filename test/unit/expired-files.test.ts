import { existsSync, lutimesSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { removeExpired } from '../../services/janitor/expired-files.ts';
import { removeTempDirs, tempDir } from '../support/temp.ts';

const HOUR_MS = 3_600_000;
const long = new Date(Date.now() - 2 * HOUR_MS);

let dir: string;
beforeEach(() => {
  dir = tempDir('files');
});
afterAll(removeTempDirs);

function file(path: string, old: boolean): void {
  mkdirSync(join(dir, path, '..'), { recursive: true });
  writeFileSync(join(dir, path), 'four');
  if (old) utimesSync(join(dir, path), long, long);
}

const sweep = (errors: string[] = []) =>
  removeExpired({
    dir,
    except: join(dir, 'fasttask'),
    before: Date.now() - HOUR_MS,
    isInUse: async (path) => path === 'used' || path === 'a/used',
    onError: (path) => errors.push(path),
  });

describe('the janitor', () => {
  it('removes old files at any depth, keeps young ones, and counts', async () => {
    file('old', true);
    file('a/b/old', true);
    file('a/young', false);
    expect(await sweep()).toEqual({ removed: 2, bytes: 8 });
    expect(existsSync(join(dir, 'a/young'))).toBe(true);
    expect(existsSync(join(dir, 'old'))).toBe(false);
  });

  it('leaves the system folder alone', async () => {
    file('fasttask/redis/data', true);
    file('fasttask.txt', true);
    expect(await sweep()).toEqual({ removed: 1, bytes: 4 });
    expect(existsSync(join(dir, 'fasttask/redis/data'))).toBe(true);
  });

  it('leaves an expired file that a running job uses', async () => {
    file('used', true);
    file('a/used', true);
    file('a/unused', true);
    expect(await sweep()).toEqual({ removed: 1, bytes: 4 });
    expect([existsSync(join(dir, 'used')), existsSync(join(dir, 'a/used'))]).toEqual([true, true]);
  });

  it('removes an old symbolic link as such', async () => {
    const outside = tempDir('outside');
    writeFileSync(join(outside, 'precious'), 'x');
    symlinkSync(outside, join(dir, 'link'));
    lutimesSync(join(dir, 'link'), long, long);
    expect((await sweep()).removed).toBe(1);
    expect(existsSync(join(outside, 'precious'))).toBe(true);
  });

  it('never follows a symbolic link', async () => {
    const outside = tempDir('outside');
    writeFileSync(join(outside, 'precious'), 'x');
    utimesSync(join(outside, 'precious'), long, long);
    symlinkSync(outside, join(dir, 'link'));
    expect(await sweep()).toEqual({ removed: 0, bytes: 0 });
    expect(existsSync(join(outside, 'precious'))).toBe(true);
  });

  it('removes a folder once it has been empty for as long as a file may live', async () => {
    mkdirSync(join(dir, 'empty'));
    utimesSync(join(dir, 'empty'), long, long);
    mkdirSync(join(dir, 'fresh'));
    await sweep();
    expect(existsSync(join(dir, 'empty'))).toBe(false);
    expect(existsSync(join(dir, 'fresh'))).toBe(true);
  });
});
