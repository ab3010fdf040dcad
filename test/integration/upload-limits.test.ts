import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { request as httpsRequest, type RequestOptions } from 'node:https';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { filePart, multipartBody } from '../support/multipart.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';
import { type ApiNode, startApiNode } from './api-node.ts';

const MIB = 1024 ** 2;

let node: ApiNode;
let silent: { cutAfterMs: Promise<number>; destroy(): void };

beforeAll(async () => {
  node = await startApiNode({ UPLOAD_MAX_BYTES: String(MIB) });
  silent = silentSender();
});
afterAll(async () => {
  silent.destroy();
  await node.stop();
});

const { headers } = multipartBody([]);
const [head, tail] = (() => {
  const { body } = multipartBody([filePart('f', 'X')]);
  const at = body.indexOf('\r\n\r\nX') + 4;
  return [body.subarray(0, at), body.subarray(at + 1)] as const;
})();

const options = (more: Record<string, string | number> = {}): RequestOptions => ({
  port: node.port,
  path: '/upload',
  method: 'POST',
  rejectUnauthorized: false,
  agent: false,
  headers: { ...headers, ...more },
});

/** Sends a body piece by piece, and gives the status of the answer, also when it comes before everything is sent. */
function sendPieces(pieces: Iterable<Uint8Array>, more: Record<string, string | number> = {}, port = node.port): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = httpsRequest({ ...options(more), port }, (response) => {
      response.resume().on('end', () => {
        body.destroy();
        sent.destroy();
        resolve(response.statusCode ?? 0);
      });
    });
    const body = Readable.from(pieces);
    // An answer may come, and the connection end, while this side is still sending.
    sent.on('error', reject);
    body.pipe(sent);
  });
}

function* pieces(count: number, piece: Uint8Array = Buffer.alloc(64 * 1024, 'x')): Generator<Uint8Array> {
  yield head;
  for (let sent = 0; sent < count; sent += 1) yield piece;
  yield tail;
}

/** Sends the start of an upload and then nothing. */
function silentSender() {
  const startedAt = performance.now();
  const sent = httpsRequest(options());
  sent.write(head);
  const cutAfterMs = new Promise<number>((resolve) => {
    sent.on('error', () => resolve(performance.now() - startedAt));
  });
  return { cutAfterMs, destroy: () => sent.destroy() };
}

const stored = () => readdirSync(node.files).filter((name) => name !== 'fasttask' && name !== 'tasks');
const arriving = (files = node.files) => {
  const folder = join(files, 'fasttask/uploads_tmp');
  // The silent sender's file lies there all the time.
  return existsSync(folder) ? readdirSync(folder).filter((name) => statSync(join(folder, name), { throwIfNoEntry: false })?.size) : [];
};

function residentBytes(): number {
  const kibibytes = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${node.process.pid}/status`, 'utf8'))?.[1];
  return Number(kibibytes) * 1024;
}

async function nothingIsLeft(files = stored()): Promise<void> {
  await until(() => arriving().length === 0, { what: 'what has arrived to be removed' });
  expect(stored()).toEqual(files);
  expect(node.process.alive).toBe(true);
}

test('a file of UPLOAD_MAX_BYTES is taken, one byte more is 413', async () => {
  const upload = (bytes: number) => {
    const { body } = multipartBody([filePart('f', Buffer.alloc(bytes))]);
    return node.api.post('/upload', body, { headers });
  };
  expect((await upload(MIB)).status).toBe(200);
  const files = stored();
  const refused = await upload(MIB + 1);
  expect([refused.status, refused.body]).toEqual([413, { detail: `The file may have at most ${MIB} bytes` }]);
  await nothingIsLeft(files);
});

test('a length that says too much is refused before the body, one that is not told while it streams', async () => {
  const files = stored();
  expect(await sendPieces([head], { 'content-length': 10 * 1024 ** 3 })).toBe(413);
  expect(await sendPieces(pieces(17))).toBe(413);
  // The sender has much more to say, and gets its answer all the same.
  expect(await sendPieces(pieces(200))).toBe(413);
  await nothingIsLeft(files);
});

test('a compressed body is 415', async () => {
  expect(await sendPieces(pieces(1), { 'content-encoding': 'gzip' })).toBe(415);
});

test('a client that hangs up in the middle leaves nothing', async () => {
  const files = stored();
  for (let round = 0; round < 5; round += 1) {
    const sent = httpsRequest(options());
    sent.on('error', () => {});
    sent.write(head);
    sent.write(Buffer.alloc(300_000));
    await until(() => arriving().length === 1, { what: 'the file to arrive' });
    sent.destroy();
    await nothingIsLeft(files);
  }
});

test('10,000 parts are refused, as fields and as files', async () => {
  const files = stored();
  for (const disposition of ['; name="a"', '; name="file"; filename="f"']) {
    const { body } = multipartBody(Array.from({ length: 10_000 }, () => ({ disposition, content: 'x' })));
    expect((await node.api.post('/upload', body, { headers })).status).toBe(413);
    await nothingIsLeft(files);
  }
  expect((await node.api.post('/upload', multipartBody(Array(16).fill(filePart('f'))).body, { headers })).status).toBe(200);
});

test('a field of more than 64 KiB is refused', async () => {
  const field = (bytes: number) => multipartBody([{ disposition: '; name="a"', content: Buffer.alloc(bytes) }, filePart('f')]).body;
  expect((await node.api.post('/upload', field(65_536), { headers })).status).toBe(200);
  expect((await node.api.post('/upload', field(65_537), { headers })).status).toBe(413);
});

test.each([
  ['header line', '\r\nX-Long: ', 'a'],
  ['header name', '\r\nX-', 'a'],
  ['line of headers', '\r\n', 'A: b\r\n'],
  ['text before the first part', undefined, 'x'],
])('an endless %s is refused, and kept in no memory', async (_, start, more) => {
  const before = residentBytes();
  let sent = 0;
  function* endless(): Generator<Uint8Array> {
    if (start !== undefined) yield Buffer.concat([head.subarray(0, -4), Buffer.from(start)]);
    for (; sent < 400; sent += 1) yield Buffer.from(more.repeat(65_536 / more.length));
  }
  expect(await sendPieces(endless())).toBe(413);
  expect(residentBytes() - before).toBeLessThan(64 * MIB);
  await nothingIsLeft();
});

test('memory stays flat while half a gigabyte streams in', async () => {
  const { port, process } = await node.anotherApi({ UPLOAD_MAX_BYTES: String(1024 * MIB) });
  const peakBytes = () => Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${process.pid}/status`, 'utf8'))?.[1]) * 1024;
  const warm = await sendPieces(pieces(512), {}, port);
  const before = peakBytes();
  const status = await sendPieces(pieces(8192), {}, port);
  expect([warm, status]).toEqual([200, 200]);
  expect(peakBytes() - before).toBeLessThan(100 * MIB);
});

const isRoot = process.getuid?.() === 0;

test.skipIf(!isRoot)(
  'a full disk is 507, leaves nothing, and takes the next file that fits (needs root, for a small file system)',
  async () => {
    const files = tempDir('small');
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', files]);
    try {
      const { api, process } = await node.anotherApi({ FILES_DIR: files, API_TLS: 'False', UPLOAD_MAX_BYTES: String(64 * MIB) });
      const upload = (bytes: number) => api.post('/upload', multipartBody([filePart('f', Buffer.alloc(bytes))]).body, { headers });
      const refused = await upload(16 * MIB);
      expect([refused.status, refused.body]).toEqual([507, { detail: expect.any(String) }]);
      expect(readdirSync(files)).toEqual(['fasttask']);
      expect(arriving(files)).toEqual([]);
      expect(existsSync(join(files, 'fasttask/file_records'))).toBe(false);
      expect((await upload(6 * MIB)).status).toBe(200);
      await process.kill9();
    } finally {
      execFileSync('umount', [files]);
    }
  },
);

test('a record that cannot be written takes its file with it', async () => {
  const files = tempDir('files');
  mkdirSync(join(files, 'fasttask'));
  const { api } = await node.anotherApi({ FILES_DIR: files, API_TLS: 'False' });
  const { body } = multipartBody([filePart('f')]);
  expect((await api.post('/upload', body, { headers })).status).toBe(200);
  execFileSync('rm', ['-r', join(files, 'fasttask/file_records')]);
  execFileSync('touch', [join(files, 'fasttask/file_records')]);
  const before = readdirSync(files);
  const refused = await api.post('/upload', body, { headers });
  expect([refused.status, JSON.stringify(refused.body)]).toEqual([500, expect.not.stringContaining(files)]);
  expect(readdirSync(files)).toEqual(before);
});

test('a sender that falls silent is cut off after 30 s', async () => {
  const cutAfterMs = await silent.cutAfterMs;
  expect(cutAfterMs).toBeGreaterThan(29_000);
  expect(cutAfterMs).toBeLessThan(60_000);
  await until(() => readdirSync(join(node.files, 'fasttask/uploads_tmp')).length === 0, { what: 'its file to be removed' });
});
