import { existsSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { tidySystemFiles } from '../../services/janitor/system-files.ts';
import { FileStore } from '../../shared/files.ts';
import { removeTempDirs, tempDir } from '../support/temp.ts';

let store: FileStore;
beforeEach(() => {
  store = new FileStore(tempDir('files'));
  for (const folder of [store.uploads, store.records, store.leases]) mkdirSync(folder, { recursive: true });
});
afterAll(removeTempDirs);

function file(path: string, ageSeconds: number): void {
  const then = new Date(Date.now() - ageSeconds * 1000);
  writeFileSync(path, '{}');
  utimesSync(path, then, then);
}

const failed: string[] = [];
const tidy = () => tidySystemFiles(store, (path) => failed.push(path));

test('removes uploads that stopped growing an hour ago, leases that ended, and records of files that are gone', async () => {
  file(join(store.uploads, 'dead'), 3700);
  file(join(store.uploads, 'alive'), 3500);
  file(join(store.leases, 'ended'), 61);
  file(join(store.leases, 'held'), 50);
  file(join(store.folder, 'kept.txt'), 7000);
  for (const name of ['kept.txt', 'gone.txt']) file(join(store.records, `${name}.json`), 7000);
  file(join(store.records, 'young.txt.json'), 1);
  expect(await tidy()).toEqual({ records: 1, leases: 1, uploads: 1 });
  const left = [
    join(store.uploads, 'alive'),
    join(store.leases, 'held'),
    join(store.records, 'kept.txt.json'),
    join(store.records, 'young.txt.json'),
  ];
  expect(left.filter((path) => !existsSync(path))).toEqual([]);
  expect(failed).toEqual([]);
});

test('touches nothing else of the system folder, and follows no link', async () => {
  const outside = join(tempDir('outside'), 'precious');
  file(outside, 7200);
  symlinkSync(outside, join(store.uploads, 'link'));
  mkdirSync(join(store.folder, 'fasttask/conf'));
  file(join(store.folder, 'fasttask/conf/user_to_passwd.json'), 7200);
  await tidy();
  expect([existsSync(outside), existsSync(join(store.folder, 'fasttask/conf/user_to_passwd.json'))]).toEqual([true, true]);
});

test('finds nothing to do where nothing was ever stored', async () => {
  store = new FileStore(join(tempDir('files'), 'none'));
  expect(await tidy()).toEqual({ records: 0, leases: 0, uploads: 0 });
});
