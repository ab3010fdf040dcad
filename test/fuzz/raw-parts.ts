/** Parts of raw requests that are no proper HTTP. Texts are Latin-1: one character is one byte. */

/** A body that fits, for the chunks around it. */
export const BODY = '{"radius":1}';

/** Values of content-length. */
export const LENGTHS = [
  '-5',
  'abc',
  '1e1',
  '0x0c',
  '+12',
  '',
  '12, 12',
  '12\r\ncontent-length: 12',
  '12\r\ncontent-length: 5',
  '18446744073709551616',
  '9'.repeat(60),
  '20000000',
  '12 12',
  '1\u00002',
];

/** The field that announces chunks. */
export const CHUNKED = 'transfer-encoding: chunked\r\n';

/** Bodies in chunks. */
export const CHUNKS = [
  `zz\r\n${BODY}\r\n0\r\n\r\n`,
  `-1\r\n${BODY}\r\n0\r\n\r\n`,
  `FFFFFFFFFFFFFFFFF\r\n${BODY}\r\n0\r\n\r\n`,
  `\r\n${BODY}\r\n0\r\n\r\n`,
  `c ${BODY}0\r\n\r\n`,
  `c\r\n${BODY}0\r\n\r\n`,
  `3\r\n${BODY}\r\n0\r\n\r\n`,
  `fff\r\n${BODY}\r\n0\r\n\r\n`,
  `c\n${BODY}\n0\n\n`,
  `c;${'x'.repeat(20_000)}\r\n${BODY}\r\n0\r\n\r\n`,
  `c\r\n${BODY}\r\n0\r\nx: y\r\n__proto__: 1\r\ncontent-length: 5\r\n\r\n`,
  `c\r\n${BODY}\r\n0\r\n${'x: y\r\n'.repeat(3000)}\r\n`,
  `c\r\n${BODY}\r\n`,
  `c\r\n${BODY}\r\n0\r\n`,
];

/** Values of transfer-encoding. */
export const ENCODINGS = [
  'chunked, chunked',
  'gzip, chunked',
  'chunked, identity',
  'identity',
  'xchunked',
  'chunked\r\ntransfer-encoding: gzip',
  'Chunked ',
  '',
  'chunked\u000b',
];

/** Whole header fields, some of them many. */
export const FIELDS = [
  'x y: 1\r\n',
  ': 1\r\n',
  'x\r\n',
  'x : 1\r\n',
  'x: a\nb: c\r\n',
  'x: a\rb: c\r\n',
  'x: \u0000\r\n',
  'x: 1\r\n folded\r\n',
  'x: \u00ff\u0080\r\n',
  '\u00e4: 1\r\n',
  '__proto__: 1\r\n',
  `x: ${'y'.repeat(30_000)}\r\n`,
  'x: y\r\n'.repeat(4000),
  'host: other\r\n',
  'expect: 100-continue\r\n',
  'expect: nonsense\r\n',
  'upgrade: websocket\r\nconnection: upgrade\r\n',
  'upgrade: h2c\r\nhttp2-settings: AAAA\r\nconnection: upgrade, http2-settings\r\n',
  'connection: x-request-id, close\r\n',
  'origin: null\r\nsec-fetch-site: nonsense\r\n',
];

/** What may stand where the field `host` should. */
export const HOSTS = [
  '',
  'host: \r\n',
  'host: a b\r\n',
  'host: [\r\n',
  'host: [::1]:x\r\n',
  'host: a\r\nhost: b\r\n',
  'host: a:99999999\r\n',
  'host: \u00ff\r\n',
  `host: ${'a'.repeat(9000)}\r\n`,
  'host: a/b?c#d\r\n',
  'host: user:secret@x\r\n',
];

/** Methods, known and unknown. */
export const METHODS = [
  'FOO',
  'get',
  'PROPFIND',
  'CONNECT',
  'TRACE',
  'M-SEARCH',
  'PRI',
  'QUERY',
  'SOURCE',
  'G\u0000T',
  '',
  'X'.repeat(5000),
];

/** Targets of requests. */
export const TARGETS = [
  'http://evil.example/health',
  'https://localhost/../etc/passwd',
  'http://',
  'http:',
  'http://[::1',
  'http://a:b:c/',
  '*',
  '//evil.example/health',
  '///',
  '?',
  '#',
  '/health#x',
  'health',
  'localhost:80',
  'javascript:1',
  '/\u00ff',
  '/\u0000',
  '/check/\u0000',
  '/a\tb',
  '/a b',
  '\\',
  '/\\..\\..',
  '/%',
  '/check/%',
  '/check/%zz',
  '/check/%00',
  '/check/%ff%fe',
  '/check/%c0%af',
  '/jobs/%/logs',
  '/jobs/%2e%2e/logs',
  '/events?ids=%',
  '/events?ids=%00,%0aid:%20done',
  '/docs/%/x',
  '/redoc/..%2f..%2fx',
  '/download?file_name=%',
  '/download?file_name=%2e%2e%2f%00',
  '/check/noop?result_id=%ff',
  '/check/noop?%',
  `/${'a'.repeat(16_000)}`,
  `/check/${'%41'.repeat(5000)}`,
  `/health?${'a=1&'.repeat(3500)}`,
  `/health?${'&'.repeat(15_000)}`,
  `/${'/'.repeat(8000)}`,
  `/${'../'.repeat(4000)}`,
];

/** What may stand behind the target. */
export const VERSIONS = ['', 'HTTP/0.9', 'HTTP/1.0', 'HTTP/1.9', 'HTTP/2.0', 'HTTP/3', 'HTTX/1.1', 'HTTP/1.1 x', 'http/1.1', 'ICE/1.0'];
