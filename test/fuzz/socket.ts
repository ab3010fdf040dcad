/** Says bytes over a TLS connection of their own and judges what comes back. */
import { Buffer } from 'node:buffer';
import { connect } from 'node:tls';
import type { Secrets } from './oracle.ts';
import type { RawRequest } from './raw.ts';

/** How long a connection may stay open, and after how long nothing more is expected, in milliseconds. */
const PATIENCE_MS = 20_000;
const SILENCE_MS = 250;

interface Heard {
  text: string;
  /** Whether the connection was still open when patience ended. */
  open: boolean;
}

/** Everything that the server says until the connection closes. A connection that breaks is one that closes. */
function say(port: number, { bytes, then }: RawRequest): Promise<Heard> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let open = false;
    const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
    const late = setTimeout(() => {
      open = true;
      socket.destroy();
    }, PATIENCE_MS);
    let silence: NodeJS.Timeout | undefined;
    const listen = () => {
      clearTimeout(silence);
      if (then === 'see') silence = setTimeout(() => socket.end(), SILENCE_MS);
    };
    socket.once('secureConnect', () => {
      socket.write(Buffer.from(bytes, 'latin1'));
      if (then === 'end') socket.end();
      listen();
    });
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      listen();
    });
    socket.on('error', () => {});
    socket.once('close', () => {
      clearTimeout(late);
      clearTimeout(silence);
      resolve({ text: Buffer.concat(chunks).toString('latin1'), open });
    });
  });
}

/** Sends the bytes. @returns the statuses that came, and every fault */
export async function sayAndJudge(port: number, request: RawRequest, secrets: Secrets): Promise<{ statuses: number[]; faults: string[] }> {
  const { text, open } = await say(port, request);
  const { statuses, rest } = answersIn(text);
  const faults = secrets.leaks(text);
  if (open) faults.push(`expected an answer or a closed connection within ${PATIENCE_MS} ms`);
  // An answer that is cut off is fine where the client was the first to end its side.
  if (rest !== '' && (request.then === 'wait' || !/^HTTP\/1\.[01] \d{3} /.test(rest)))
    faults.push(`expected whole answers of HTTP/1.1, got ${JSON.stringify(rest.slice(0, 200))}`);
  if (request.then === 'wait' && statuses.length === 0) faults.push('expected an answer, got a closed connection');
  const [high] = statuses.filter((status) => status >= 500);
  if (high !== undefined) faults.push(`expected a status below 500, got ${high}`);
  const wrong = request.statuses === undefined ? undefined : statuses.find((status) => !request.statuses?.includes(status));
  if (wrong !== undefined) faults.push(`expected the status ${request.statuses?.join(' or ')}, got ${wrong}`);
  if (request.name === 'pipelined') faults.push(...pipelineFaults(request, statuses));
  return { statuses, faults };
}

function pipelineFaults({ bytes }: RawRequest, statuses: readonly number[]): string[] {
  const sent = bytes.split('GET ').length - 1;
  return statuses.length === sent && statuses.every((status) => status === 200)
    ? []
    : [`expected ${sent} answers with 200, got ${statuses.join()}`];
}

const HEAD = /^HTTP\/1\.[01] (\d{3}) [^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n/;
const CHUNK = /^([0-9a-fA-F]+)\r\n/;

/** Splits what came into answers; `rest` is what is none, or not a whole one. */
function answersIn(text: string): { statuses: number[]; rest: string } {
  const statuses: number[] = [];
  let rest = text;
  for (let head = HEAD.exec(rest); head !== null; head = HEAD.exec(rest)) {
    const length = bodyLength(rest.slice(head[0].length), head[2] ?? '');
    if (length === undefined) break;
    statuses.push(Number(head[1]));
    rest = rest.slice(head[0].length + length);
  }
  return { statuses, rest };
}

/** How many characters the body has, or undefined when it is not whole. */
function bodyLength(text: string, fields: string): number | undefined {
  if (/^transfer-encoding: chunked\r$/im.test(fields)) return chunkedLength(text);
  const length = Number(/^content-length: (\d+)\r$/im.exec(fields)?.[1] ?? 0);
  return length <= text.length ? length : undefined;
}

function chunkedLength(text: string): number | undefined {
  let at = 0;
  for (let chunk = CHUNK.exec(text); chunk !== null; chunk = CHUNK.exec(text.slice(at))) {
    const size = Number.parseInt(chunk[1] ?? '', 16);
    at += chunk[0].length + size + 2;
    if (at > text.length) return undefined;
    if (size === 0) return at;
  }
  return undefined;
}
