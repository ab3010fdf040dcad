import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { filePart, multipartBody } from '../support/multipart.ts';
import { tempDir } from '../support/temp.ts';
import { type ApiNode, startApiNode } from './api-node.ts';

/** Stands in every file that must not come out. */
const SECRET = 'never to be seen outside';

let node: ApiNode;
let outside: string;
const socket = createServer();

beforeAll(async () => {
  node = await startApiNode();
  outside = tempDir('outside');
  writeFileSync(join(outside, 'secret.txt'), SECRET);
  for (const path of ['conf/secret.txt', 'secret.txt']) writeFileSync(join(node.files, 'fasttask', path), SECRET);
  writeFileSync(join(node.files, 'fasttask.txt'), 'fine');
  mkdirSync(join(node.files, 'fasttask_other'));
  writeFileSync(join(node.files, 'fasttask_other/x'), 'fine');
  writeFileSync(join(node.files, 'a\\b.txt'), 'fine');
  symlinkSync(join(outside, 'secret.txt'), join(node.files, 'link_file'));
  symlinkSync(outside, join(node.files, 'link_folder'));
  symlinkSync(join(node.files, 'fasttask'), join(node.files, 'link_system'));
  symlinkSync(join(node.files, 'fasttask.txt'), join(node.files, 'link_inside'));
  symlinkSync('nowhere', join(node.files, 'link_dangling'));
  execFileSync('mkfifo', [join(node.files, 'fifo')]);
  await new Promise<void>((resolve) => void socket.listen(join(node.files, 'socket'), resolve));
});
afterAll(async () => {
  await new Promise((resolve) => socket.close(resolve));
  await node.stop();
});

/** What stands behind `file_name=` in the query, and the status. `$OUTSIDE` is a folder beside FILES_DIR. */
const spellings: readonly (readonly [spelling: string, status: number])[] = [
  ['../$OUTSIDE/secret.txt', 400],
  ['..%2F$OUTSIDE%2Fsecret.txt', 400],
  ['%2e%2e%2f$OUTSIDE/secret.txt', 400],
  ['%2E%2E/$OUTSIDE/secret.txt', 400],
  ['.%2e/$OUTSIDE/secret.txt', 400],
  ['..%5C$OUTSIDE%5Csecret.txt', 400],
  ['..\\$OUTSIDE\\secret.txt', 400],
  ['./../$OUTSIDE/secret.txt', 400],
  ['x/../../$OUTSIDE/secret.txt', 400],
  ['....//....//$OUTSIDE/secret.txt', 400],
  ['..;/$OUTSIDE/secret.txt', 400],
  ['..%00/$OUTSIDE/secret.txt', 400],
  ['/tmp/$OUTSIDE/secret.txt', 400],
  ['%2Ftmp%2F$OUTSIDE%2Fsecret.txt', 400],
  ['//tmp/$OUTSIDE/secret.txt', 400],
  ['\\tmp\\$OUTSIDE\\secret.txt', 400],
  ['%5C%5Clocalhost%5Ctmp', 400],
  ['fasttask.txt%00.png', 400],
  ['fasttask.txt%0A', 400],
  ['%7F', 400],
  ['%C2%85', 400],
  ['a%5C..%5Csecret.txt', 400],
  ['a%5Cb%2Fc', 400],
  ['..', 400],
  ['..%252f$OUTSIDE%252fsecret.txt', 400],
  // Encoded twice: the name that arrives has percent signs in it.
  ['%252e%252e%252f$OUTSIDE%252fsecret.txt', 404],
  // Overlong UTF-8 is no UTF-8: each byte becomes a replacement character.
  ['%c0%ae%c0%ae%c0%af$OUTSIDE%c0%afsecret.txt', 404],
  ['%e0%80%ae%e0%80%ae%e0%80%af$OUTSIDE', 404],
  // Look-alikes stay what they are: fullwidth full stops and solidus, two dot leader, division slash.
  ['%EF%BC%8E%EF%BC%8E%EF%BC%8F$OUTSIDE%EF%BC%8Fsecret.txt', 404],
  ['%E2%80%A5/$OUTSIDE/secret.txt', 404],
  ['%E2%88%95tmp%E2%88%95$OUTSIDE%E2%88%95secret.txt', 404],
  ['%u002e%u002e%u2215$OUTSIDE', 404],
  ['file:///tmp/$OUTSIDE/secret.txt', 404],
  ['~/secret.txt', 404],
  ['$HOME', 404],
  ['C:/secret.txt', 404],
  ['fasttask', 403],
  ['fasttask/', 403],
  ['fasttask/secret.txt', 403],
  ['fasttask/conf/secret.txt', 403],
  ['FastTask/conf/secret.txt', 403],
  ['FASTTASK%2Fsecret.txt', 403],
  ['./fasttask/secret.txt', 403],
  ['.//.//fasttask//secret.txt', 403],
  ['fasttask%5Csecret.txt', 403],
  ['.%5Cfasttask%5Csecret.txt', 403],
  // Long s, and an I with a dot: equal to ASCII in some folding, and not here.
  ['fa%C5%BFttask/secret.txt', 404],
  ['fasttas%E2%84%AA/secret.txt', 403],
  ['link_file', 404],
  ['link_folder/secret.txt', 404],
  ['link_system/secret.txt', 404],
  ['link_inside', 404],
  ['link_dangling', 404],
  ['fifo', 404],
  ['socket', 404],
  ['fasttask_other', 404],
  ['x'.repeat(300), 404],
  ['a/'.repeat(3000), 404],
  ['fasttask.txt', 200],
  ['fasttask_other/x', 200],
  ['a%5Cb.txt', 200],
];

describe('a download', () => {
  test.each(spellings)('%s is %i', async (spelling, status) => {
    // Not the client's URL: it would write some of these spellings anew.
    const path = `/download?file_name=${spelling.replaceAll('$OUTSIDE', basename(outside)).replaceAll('\\', '%5C')}`;
    for (const method of ['GET', 'HEAD'] as const) {
      const answer = await node.api.send(method, path);
      expect(answer.status).toBe(status);
      expect(JSON.stringify(answer)).not.toContain(SECRET);
      if (status !== 200 && method === 'GET') {
        expect(answer.body).toEqual({ detail: expect.any(String) });
        expect(JSON.stringify(answer.body)).not.toContain(node.files);
      }
    }
  });

  test('of several names the last one counts, for the check too', async () => {
    expect((await node.api.get('/download?file_name=fasttask.txt&file_name=fasttask/secret.txt')).status).toBe(403);
    expect((await node.api.get('/download?file_name[]=fasttask/secret.txt')).status).toBe(422);
  });
});

test('an upload never leaves the files folder, whatever its name', async () => {
  for (const name of ['../up.txt', '..\\up.txt', '/tmp/up.txt', 'fasttask/up.txt', 'FASTTASK\\up.txt', 'x/../../up.txt']) {
    const { body, headers } = multipartBody([filePart(name)]);
    expect([name, [400, 403]]).toEqual([name, expect.arrayContaining([(await node.api.post('/upload', body, { headers })).status])]);
  }
  const { body, headers } = multipartBody([filePart('link_folder/up.txt')]);
  expect((await node.api.post('/upload', body, { headers })).status).toBe(200);
});
