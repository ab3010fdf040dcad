import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import { FormData } from 'undici';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Answer } from '../support/https.ts';
import { filePart, multipartBody, type RawPart } from '../support/multipart.ts';
import { until } from '../support/until.ts';
import { type ApiNode, startApiNode } from './api-node.ts';

const UUID = '[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}';

let node: ApiNode;

beforeAll(async () => {
  node = await startApiNode();
});
afterAll(() => node.stop());

const upload = (parts: readonly RawPart[], boundary?: string): Promise<Answer> => {
  const { body, headers } = multipartBody(parts, boundary);
  return node.api.post('/upload', body, { headers });
};

function nameOf({ status, body }: Answer): string {
  expect([status, body]).toEqual([200, { file_name: expect.any(String) }]);
  return (body as { file_name: string }).file_name;
}

const download = (name: string, headers: Record<string, string> = {}) =>
  node.api.get(`/download?file_name=${encodeURIComponent(name)}`, { headers });

const uploads = () => {
  const folder = join(node.files, 'fasttask', 'uploads_tmp');
  return existsSync(folder) ? readdirSync(folder) : [];
};

/** The file descriptors that the API holds on files below FILES_DIR. */
function openFiles(): string[] {
  const folder = `/proc/${node.process.pid}/fd`;
  return readdirSync(folder).flatMap((fd) => {
    try {
      const target = readlinkSync(join(folder, fd));
      return target.startsWith(join(node.files, '')) && !target.includes('/fasttask/log') ? [target] : [];
    } catch {
      return [];
    }
  });
}

describe('POST /upload', () => {
  test('stores the file under a name of its own, and a record with its owner and digest', async () => {
    const form = new FormData();
    form.append('file', new File(['héllo'], 'a b.txt', { type: 'text/plain' }));
    const answer = await node.api.post('/upload', form);
    const name = nameOf(answer);
    expect(name).toMatch(new RegExp(`^${UUID}_a b\\.txt$`));
    expect(readFileSync(join(node.files, name), 'utf8')).toBe('héllo');
    const sha256 = createHash('sha256').update('héllo').digest('hex');
    expect(answer.headers['x-content-sha256']).toBe(sha256);
    const record = JSON.parse(readFileSync(join(node.files, 'fasttask/file_records', `${name}.json`), 'utf8'));
    expect(record).toEqual({ owner: 'Anonymous', sha256, size: 6 });
    expect((await download(name)).body).toBe('héllo');
  });

  test.each([
    ['a name of requests without non-ASCII letters', '; name="file"; filename="report.csv"', 'report.csv'],
    ['a Unicode name of older requests', '; name="file"; filename*=utf-8\'\'%E6%96%87%E4%BB%B6%20%28%29.txt', '文件 ().txt'],
    ['a Unicode name of browsers', '; name="file"; filename="文件.txt"', '文件.txt'],
    ['both forms', '; name="file"; filename="plain.txt"; filename*=UTF-8\'\'%C3%A9.txt', 'é.txt'],
    ['a quote of a browser', '; name="file"; filename="a%22b.txt"', 'a"b.txt'],
    ['a quote of curl', '; name="file"; filename="a\\"b.txt"', 'a"b.txt'],
    ['a percent sign', '; name="file"; filename="100%41.txt"', '100%41.txt'],
    ['an HTML entity', '; name="file"; filename="&#1234;&amp;.txt"', '&#1234;&amp;.txt'],
    ['a semicolon and a second filename in the name', '; name="file"; filename="a; filename=b.txt"', 'a; filename=b.txt'],
    ['a folder', '; name="file"; filename="x/y.txt"', 'y.txt'],
    ['a path of Windows', '; name="file"; filename="C:\\dir\\z.txt"', 'z.txt'],
    ['fasttask.txt', '; name="file"; filename="fasttask.txt"', 'fasttask.txt'],
    ['no quotes', '; name=file; filename=plain.txt', 'plain.txt'],
    ['the most bytes', `; name="file"; filename="${'é'.repeat(98)}.txt"`, `${'é'.repeat(98)}.txt`],
  ])('takes %s', async (_, disposition, expected) => {
    const name = nameOf(await upload([{ disposition, content: 'x' }]));
    expect(name.slice(37)).toBe(expected);
    expect((await download(name)).body).toBe('x');
  });

  test('a name whose letters arrive in pieces is not damaged', async () => {
    const { body, headers } = multipartBody([filePart('文件.txt')]);
    const at = body.indexOf('文') + 1;
    const answer = await new Promise<string>((resolve, reject) => {
      const { port } = node;
      const sent = httpsRequest({ port, path: '/upload', method: 'POST', headers, rejectUnauthorized: false, agent: false }, (response) => {
        response.setEncoding('utf8').on('data', resolve);
      });
      sent.on('error', reject);
      sent.write(body.subarray(0, at), () => setImmediate(() => sent.end(body.subarray(at))));
    });
    expect(answer).toMatch(new RegExp(`^\\{"file_name":"${UUID}_文件\\.txt"\\}$`));
  });

  test('of two files the last one counts, other parts are ignored, an empty file is a file', async () => {
    const before = readdirSync(node.files).length;
    const note = { disposition: '; name="note"', content: 'hello' };
    const name = nameOf(await upload([filePart('first', '1'), note, filePart('last', ''), note]));
    expect(name).toMatch(/_last$/);
    expect((await download(name)).headers['content-length']).toBe('0');
    expect(readdirSync(node.files).length).toBe(before + 1);
    expect(uploads()).toEqual([]);
  });

  test.each(['xjsonx', 'octet-stream', 'x-www-form-urlencoded'])('a boundary may look like another content type: %s', async (boundary) => {
    const name = nameOf(await upload([filePart('b.bin', 'boundary')], boundary));
    expect((await download(name)).body).toBe('boundary');
    expect(uploads()).toEqual([]);
  });

  test('content that looks like a boundary is content', async () => {
    const content = `\r\n--${'-'.repeat(40)}\r\n------------------------d74496d66958873\r\n\r\n`.repeat(3000);
    expect((await download(nameOf(await upload([filePart('b', content)])))).body).toBe(content);
  });

  const problem = (type: string) => ({ detail: [expect.objectContaining({ type, loc: ['body', 'file'] })] });
  const detail = { detail: expect.any(String) };

  test.each([
    ['..', 400, detail],
    ['../x.txt', 400, detail],
    ['a..b.txt', 400, detail],
    ['/etc/passwd', 400, detail],
    ['\\\\server\\x.txt', 400, detail],
    ['x\\..\\y.txt', 400, detail],
    ['fasttask/x.txt', 403, detail],
    ['./FastTask\\conf\\x', 403, detail],
    ['é'.repeat(101), 422, problem('value_error')],
    ['a\u0000b.txt', 422, problem('value_error')],
    ['a%0D%0Ax-evil: 1.txt', 422, problem('value_error')],
    ['a\u0085b.txt', 422, problem('value_error')],
    ['folder/', 422, problem('value_error')],
    ['', 422, problem('value_error')],
  ])('refuses the name %j with %i', async (name, status, body) => {
    const answer = await upload([filePart(name)]);
    expect([answer.status, answer.body]).toEqual([status, body]);
    expect(uploads()).toEqual([]);
  });

  test('what is no file is 422, what is no multipart body 400', async () => {
    const { body, headers } = multipartBody([filePart('x')]);
    const send = (sent: unknown, type?: string) =>
      node.api.post('/upload', sent, { headers: type === undefined ? {} : { 'content-type': type } });
    for (const answer of [
      await send(undefined),
      await send({ file: 'x' }),
      await send('file=x', 'application/x-www-form-urlencoded'),
      await upload([{ disposition: '; name="other"; filename="x"' }]),
      await upload([]),
      await send('', headers['content-type']),
    ])
      expect([answer.status, answer.body]).toEqual([422, problem('missing')]);
    expect(await upload([{ disposition: '; name="file"', content: 'text' }])).toMatchObject({ status: 422, body: problem('value_error') });
    expect(await send(body, 'multipart/form-data')).toMatchObject({ status: 400, body: { detail: 'Missing boundary in multipart.' } });
    for (const broken of [body.subarray(0, -10), Buffer.from('no boundary at all'), body.subarray(0, 60)])
      expect((await send(broken, headers['content-type'])).status).toBe(400);
    expect(await upload([{ disposition: '; name="file"; filename="x"', headers: ['Content-Transfer-Encoding: uuencode'] }])).toMatchObject({
      status: 400,
    });
    expect(uploads()).toEqual([]);
  });

  test('GET is 405', async () => {
    expect(await node.api.get('/upload')).toMatchObject({ status: 405, headers: { allow: 'POST' } });
  });
});

describe('GET /download', () => {
  beforeAll(() => {
    writeFileSync(join(node.files, 'e.bin'), 'abcde');
    utimesSync(join(node.files, 'e.bin'), 1_700_000_000, 1_700_000_000);
    writeFileSync(join(node.files, 'page.html'), '<script>alert(1)</script>');
    mkdirSync(join(node.files, 'results'));
    writeFileSync(join(node.files, 'results', 'α.csv'), 'a,b');
    writeFileSync(join(node.files, '.hidden'), 'h');
  });

  test('tells type, name, size, validators, and that it never runs as a page', async () => {
    const { status, headers, body } = await download('e.bin');
    expect([status, body]).toEqual([200, 'abcde']);
    expect(headers).toMatchObject({
      'content-type': 'application/octet-stream',
      'content-disposition': 'attachment; filename="e.bin"',
      'content-length': '5',
      'accept-ranges': 'bytes',
      'last-modified': 'Tue, 14 Nov 2023 22:13:20 GMT',
      'cache-control': 'private, no-cache',
      'content-security-policy': 'sandbox',
      'x-content-type-options': 'nosniff',
    });
    expect(headers['etag']).toMatch(/^"[\w-]+"$/);
    expect(headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
    const page = await download('page.html');
    expect(page.headers['content-type']).toBe('text/html; charset=utf-8');
    expect(page.headers['content-disposition']).toMatch(/^attachment;/);
  });

  test('a folder and a non-ASCII name', async () => {
    const { headers, body } = await download('./results//α.csv');
    expect(body).toBe('a,b');
    expect(headers['content-type']).toBe('text/csv; charset=utf-8');
    expect(headers['content-disposition']).toMatch(/^attachment; .*filename\*=UTF-8''%CE%B1\.csv$/);
    expect((await download('.hidden')).body).toBe('h');
  });

  test.each([
    ['bytes=1-2', 206, 'bytes 1-2/5', 'bc'],
    ['bytes=3-', 206, 'bytes 3-4/5', 'de'],
    ['bytes=-2', 206, 'bytes 3-4/5', 'de'],
    ['bytes=0-999', 206, 'bytes 0-4/5', 'abcde'],
    ['lines=1-2', 200, undefined, 'abcde'],
    ['bytes=0-0,4-4', 200, undefined, 'abcde'],
  ])('Range: %s is %i', async (range, status, contentRange, body) => {
    const answer = await download('e.bin', { range });
    expect([answer.status, answer.headers['content-range'], answer.body]).toEqual([status, contentRange, body]);
  });

  test('a range beyond the end is 416, in our own form', async () => {
    const answer = await download('e.bin', { range: 'bytes=9-' });
    expect([answer.status, answer.body]).toEqual([416, { detail: expect.any(String) }]);
    expect(answer.headers).toMatchObject({ 'content-range': 'bytes */5', 'content-type': 'application/json' });
    expect(answer.headers['content-disposition']).toBeUndefined();
    expect(answer.headers['x-request-id']).toBeDefined();
  });

  test('conditional requests', async () => {
    const { headers } = await download('e.bin');
    const etag = String(headers['etag']);
    const date = String(headers['last-modified']);
    expect(await download('e.bin', { 'if-none-match': etag })).toMatchObject({ status: 304, body: '', headers: { etag } });
    expect((await download('e.bin', { 'if-modified-since': date })).status).toBe(304);
    expect((await download('e.bin', { 'if-none-match': '"other"' })).status).toBe(200);
    expect((await download('e.bin', { 'if-match': '"other"' })).status).toBe(412);
    expect((await download('e.bin', { range: 'bytes=1-2', 'if-range': etag })).status).toBe(206);
    expect((await download('e.bin', { range: 'bytes=1-2', 'if-range': '"other"' })).status).toBe(200);
  });

  test('HEAD has the headers of GET and no body', async () => {
    const answer = await node.api.send('HEAD', '/download?file_name=e.bin');
    expect([answer.status, answer.body, answer.headers['content-length']]).toEqual([200, '', '5']);
    expect((await node.api.send('HEAD', '/download?file_name=nothing')).status).toBe(404);
  });

  test('no such file is 404, no parameter 422', async () => {
    for (const name of ['nothing', '', '.', 'results', 'e.bin/x', 'x'.repeat(5000)])
      expect([name, (await download(name)).status]).toEqual([name, 404]);
    expect(await node.api.get('/download')).toMatchObject({
      status: 422,
      body: { detail: [{ type: 'missing', loc: ['query', 'file_name'] }] },
    });
  });

  test('no file stays open, whether the client reads to the end, asks for the headers alone, or hangs up', async () => {
    writeFileSync(join(node.files, 'large'), Buffer.alloc(64 * 1024 ** 2));
    await new Promise<void>((resolve, reject) => {
      const options = { port: node.port, path: '/download?file_name=large', rejectUnauthorized: false, agent: false };
      const sent = httpsRequest(options, (response) => {
        response.once('data', () => {
          expect(openFiles()).toEqual([join(node.files, 'large')]);
          response.on('error', () => {}).destroy();
          resolve();
        });
      });
      sent.on('error', reject).end();
    });
    await download('e.bin', { range: 'bytes=9-' });
    await node.api.send('HEAD', '/download?file_name=large');
    await until(() => openFiles().length === 0, { what: 'every file to be closed' });
  });
});

test('with accounts, credentials come before a byte is stored; what is switched off is 404', async () => {
  writeFileSync(join(node.files, 'fasttask/conf/user_to_passwd.json'), '{"ann":"correct horse"}');
  const { api } = await node.anotherApi({ API_FILE_DOWNLOAD: 'False' });
  const { body, headers } = multipartBody([filePart('x', Buffer.alloc(1024 ** 2))]);
  const before = readdirSync(node.files).length;
  expect((await api.post('/upload', body, { headers })).status).toBe(401);
  expect((await api.post('/upload', body, { headers, auth: ['ann', 'wrong'] })).status).toBe(401);
  expect(readdirSync(node.files).length).toBe(before);
  const name = nameOf(await api.post('/upload', body, { headers, auth: ['ann', 'correct horse'] }));
  expect(JSON.parse(readFileSync(join(node.files, 'fasttask/file_records', `${name}.json`), 'utf8'))).toMatchObject({ owner: 'ann' });
  expect((await api.get('/download?file_name=e.bin', { auth: ['ann', 'correct horse'] })).status).toBe(404);
});
