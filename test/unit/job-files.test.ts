import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { FileLeases } from '../../services/consumer/file-leases.ts';
import { JobFiles } from '../../services/consumer/job-files.ts';
import type { ThreadMessage } from '../../services/consumer/thread-protocol.ts';
import { FileStore } from '../../shared/files.ts';
import { createLogger } from '../../shared/logger.ts';
import { removeTempDirs, tempDir } from '../support/temp.ts';

afterAll(removeTempDirs);

const local = (filesDir: string) => ({ filesDir, remoteFiles: false });
const never = new AbortController().signal;

test('a file that a job makes belongs to whom the job belongs to, is there at once, and is in use', async () => {
  const dir = tempDir('files');
  const store = new FileStore(dir);
  const sent: ThreadMessage[] = [];
  const files = new JobFiles(
    { id: 'R-report-1', task: 'report', owner: 'ann', ownFilesOnly: true },
    local(dir),
    (message) => sent.push(message),
    never,
  );
  const { name, path } = await files.create('csv');
  expect(name).toMatch(/^[0-9a-f-]{36}_report\.csv$/);
  expect([path, readFileSync(path, 'utf8')]).toEqual([join(dir, name), '']);
  expect(await store.owner(name)).toBe('ann');
  expect(await store.isLeased(name)).toBe(true);
  expect(sent).toEqual([{ type: 'file', id: 'R-report-1', name }]);
});

test('a job of a submitter opens files of its owner alone; to it others are not there', async () => {
  const dir = tempDir('files');
  const filesOf = (owner: string, ownFilesOnly: boolean) =>
    new JobFiles({ id: 'R-report-1', task: 'report', owner, ownFilesOnly }, local(dir), () => {}, never);
  const { name, path } = await filesOf('ann', true).create('csv');
  expect(await filesOf('ann', true).path(name)).toBe(path);
  expect(await filesOf('root', false).path(name)).toBe(path);
  const missing = await filesOf('bob', true).path('nothing.csv').catch(String);
  expect(await filesOf('bob', true).path(name).catch(String)).toBe(missing);
});

test('who sees a file that has just been taken in sees whose it is', async () => {
  const store = new FileStore(tempDir('files'));
  mkdirSync(store.uploads, { recursive: true });
  const owners: (string | undefined)[] = [];
  for (let turn = 0; turn < 50; turn += 1) {
    const [from, name] = [join(store.uploads, `${turn}`), `file ${turn}`];
    writeFileSync(from, 'x');
    let over = false;
    const look = async () => {
      while (!over) {
        const file = await store.open(name).catch(() => undefined);
        if (file === undefined) continue;
        await file.handle.close();
        owners.push(await store.owner(name));
      }
    };
    const looking = look();
    await store.adopt(from, name, { owner: 'ann' });
    over = true;
    await looking;
  }
  expect(owners.filter((owner) => owner !== 'ann')).toEqual([]);
});

test('the file of a job without an owner belongs to nobody', async () => {
  const dir = tempDir('files');
  const { name } = await new JobFiles(
    { id: 'R-report-1', task: 'report', owner: '', ownFilesOnly: false },
    local(dir),
    () => {},
    never,
  ).create('');
  expect(await new FileStore(dir).owner(name)).toBeUndefined();
  expect(existsSync(join(dir, 'fasttask/file_records'))).toBe(false);
});

test('leases are renewed until the job is over; a name that a thread made up is dropped', async () => {
  const store = new FileStore(tempDir('files'));
  const leases = new FileLeases(store, createLogger('silent', { service: 'test' }));
  for (const name of ['a', '../b']) leases.keep('job', name);
  await leases.renew();
  expect(await store.isLeased('a')).toBe(true);
  expect(statSync(store.leases).isDirectory()).toBe(true);
  leases.drop('job');
  leases.keep('other', 'c');
  await leases.renew();
  expect([await store.isLeased('b'), await store.isLeased('c')]).toEqual([false, true]);
});
