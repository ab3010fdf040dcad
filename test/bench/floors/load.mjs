// Sends requests over TLS and measures the answers. Argument: a file with the load as JSON (see load.ts). Prints what it found as JSON.
// Raw sockets and a parser of just what is needed: it must cost less than the servers that it measures.
import { readFileSync } from 'node:fs';
import { connect as connectPlain } from 'node:net';
import { connect as connectTls } from 'node:tls';

const { origin, headers, asks, connections, seconds, once } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const { protocol, hostname, port, host, pathname } = new URL(origin);
const base = pathname.replace(/\/$/, '');
const requests = asks.map(({ method, path, body }) => {
  const lines = [
    `${method} ${base}${path} HTTP/1.1`,
    `host: ${host}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ];
  if (body !== undefined) lines.push('content-type: application/json', `content-length: ${Buffer.byteLength(body)}`);
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body ?? ''}`);
});

const WARM_MS = once ? 0 : 500;

/** Answers other than 200 that are borne, as a part of all: a busy machine makes a server refuse now and then. They are not counted. */
const BORNE = 0.01;

const times = [];
let refused = 0;
let next = 0;
let counting = WARM_MS === 0;
let over = false;
let idle = 0;
let began = 0;
let cpuBefore = process.cpuUsage();

function takeNext() {
  if (over || (once && next >= requests.length)) return undefined;
  next += 1;
  return requests[(next - 1) % requests.length];
}

function fail(reason) {
  process.stderr.write(`${reason}\n`);
  process.exit(1);
}

/** Notes an answer. */
function take(bytes, sentAt) {
  if (over) return;
  if (!bytes.latin1Slice(0, 12).endsWith(' 200')) {
    refused += 1;
    if (refused > Math.max(10, times.length * BORNE)) fail(`expected 200, got ${bytes.toString()}`);
  } else if (counting) times.push(performance.now() - sentAt);
}

/** Where the answer at the beginning of the bytes ends, or -1 while a part is missing. */
function endOf(bytes) {
  const head = bytes.indexOf('\r\n\r\n');
  if (head === -1) return -1;
  const text = bytes.latin1Slice(0, head);
  const length = /\r\ncontent-length: *(\d+)/i.exec(text);
  if (length !== null) return bytes.length < head + 4 + Number(length[1]) ? -1 : head + 4 + Number(length[1]);
  const last = bytes.indexOf('0\r\n\r\n', head + 4);
  return last === -1 ? -1 : last + 5;
}

function finish() {
  if (over) return;
  over = true;
  const elapsed = (performance.now() - began) / 1000;
  const { user, system } = process.cpuUsage(cpuBefore);
  times.sort((a, b) => a - b);
  const at = (share) => times[Math.max(0, Math.ceil(times.length * share) - 1)];
  if (times.length === 0) fail('expected answers, got none in time');
  const found = { perSecond: times.length / elapsed, p50: at(0.5), p99: at(0.99), senderCores: (user + system) / 1e6 / elapsed };
  process.stdout.write(`${JSON.stringify(found)}\n`, () => process.exit(0));
}

function count() {
  counting = true;
  began = performance.now();
  cpuBefore = process.cpuUsage();
  setTimeout(finish, seconds * 1000);
}

function serve(socket) {
  let bytes = Buffer.alloc(0);
  let sentAt = 0;
  const send = () => {
    const request = takeNext();
    if (request === undefined) {
      idle += 1;
      if (idle === connections) finish();
      return;
    }
    sentAt = performance.now();
    socket.write(request);
  };
  socket.on('data', (chunk) => {
    bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
    const end = endOf(bytes);
    if (end === -1) return;
    take(bytes, sentAt);
    bytes = bytes.subarray(end);
    send();
  });
  socket.on('close', () => over || fail('a connection was closed'));
  send();
}

const sockets = await Promise.all(
  Array.from({ length: connections }, () => {
    const tls = protocol === 'https:';
    const options = { host: hostname, port: Number(port || (tls ? 443 : 80)), rejectUnauthorized: false, noDelay: true };
    return new Promise((resolve) => {
      const socket = tls ? connectTls(options, () => resolve(socket)) : connectPlain(options, () => resolve(socket));
      socket.on('error', (error) => over || fail(String(error)));
    });
  }),
);
if (WARM_MS === 0) count();
else setTimeout(count, WARM_MS);
for (const socket of sockets) serve(socket);
