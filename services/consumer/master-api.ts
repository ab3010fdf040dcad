/** The master's API, as a worker calls it: with the credential of a node, over connections to known servers only. */
import {
  type ClientRequest,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  Agent as PlainAgent,
  request as plainRequest,
} from 'node:http';
import { request as tlsRequest } from 'node:https';
import type { Readable } from 'node:stream';
import { publishedCertificates } from '../../shared/certificates.ts';
import type { Config } from '../../shared/config.ts';
import { NODE_SCHEME, nodeCredential } from '../../shared/node-credential.ts';
import type { Redis } from '../../shared/redis.ts';
import { AnswerError, FutileError } from './persistence.ts';
import { PinnedAgent } from './pinned-agent.ts';
import { Turns } from './turns.ts';

/** Connections of one consumer; further requests wait. */
const MOST_CONNECTIONS = 8;

/** A connection on which nothing moves is given up after this, and an idle one closed, in milliseconds. */
const IDLE_MS = 30_000;
const KEPT_MS = 20_000;

/** How much of an answer that is no file is read for its reason, in bytes. */
const REASON_BYTES = 4096;

export interface MasterRequest {
  method: 'GET' | 'HEAD' | 'PUT';
  path: string;
  headers?: OutgoingHttpHeaders;
  body?: Readable;
  signal: AbortSignal;
}

export class MasterApi {
  readonly #url: URL | undefined;
  readonly #redis: Redis;
  readonly #settings: Config['redis'];
  readonly #agent: PlainAgent | PinnedAgent;
  /** Node's agent counts a connection when it is made: requests that come before the first one is would all have one of their own. */
  readonly #turns = new Turns(MOST_CONNECTIONS);

  /** @param url MASTER_API_URL; undefined where nobody has told it */
  constructor(url: string | undefined, redis: Redis, settings: Config['redis']) {
    this.#url = url === undefined ? undefined : new URL(url);
    this.#redis = redis;
    this.#settings = settings;
    const options = { maxSockets: MOST_CONNECTIONS, timeout: KEPT_MS };
    this.#agent =
      this.#url?.protocol === 'http:'
        ? new PlainAgent({ ...options, keepAlive: true })
        : new PinnedAgent(() => publishedCertificates(redis, settings.prefix), options);
  }

  /** Where it is, for messages. */
  get origin(): string {
    return this.#url?.origin ?? 'the master';
  }

  /**
   * Sends a request and gives its answer when the headers are there. Whoever gets one reads or destroys it.
   * @throws AnswerError for a status of 400 and above, UntrustedCertificateError, FutileError without MASTER_API_URL, Errors of the network
   */
  async send(asked: MasterRequest): Promise<IncomingMessage> {
    if (this.#url === undefined) {
      throw new FutileError(
        'MASTER_API_URL is not set: a worker with REDIS_URL needs it for files, or FILES_SHARED=True where all nodes share FILES_DIR',
      );
    }
    const { method, path, headers, signal } = asked;
    await this.#turns.take(signal);
    let request: ClientRequest;
    try {
      const credential = await nodeCredential(this.#redis, this.#settings);
      signal.throwIfAborted();
      const send = this.#url.protocol === 'http:' ? plainRequest : tlsRequest;
      request = send(new URL(path, this.#url), {
        method,
        agent: this.#agent,
        signal,
        headers: { ...headers, authorization: `${NODE_SCHEME} ${credential}` },
      });
    } catch (error) {
      this.#turns.giveBack();
      throw error;
    }
    request.once('close', () => this.#turns.giveBack());
    const answer = await answerTo(request, asked.body);
    if ((answer.statusCode ?? 0) < 400) return answer;
    throw new AnswerError(answer.statusCode ?? 0, await reasonOf(answer));
  }

  /** Closes every connection. Safe to call twice. */
  stop(): void {
    this.#agent.destroy();
  }
}

function answerTo(request: ClientRequest, body: Readable | undefined): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.setTimeout(IDLE_MS, () => request.destroy(new Error(`nothing moved for ${IDLE_MS / 1000} s`)));
    request.on('error', (error) => {
      body?.destroy();
      reject(error);
    });
    request.once('response', (answer) => {
      // It may come before the body was sent: then nobody wants the rest, and the connection cannot be used again.
      if (body !== undefined && !request.writableEnded) {
        body.destroy();
        answer.once('close', () => request.destroy());
      }
      // Whoever reads it is told by its own end.
      answer.on('error', () => {});
      resolve(answer);
    });
    if (body === undefined) return void request.end();
    body.on('error', (error) => request.destroy(error));
    body.pipe(request);
  });
}

async function reasonOf(answer: IncomingMessage): Promise<string> {
  let text = '';
  try {
    for await (const chunk of answer) {
      text += String(chunk);
      if (text.length > REASON_BYTES) break;
    }
    const body: unknown = JSON.parse(text);
    if (typeof body === 'object' && body !== null && 'detail' in body && typeof body.detail === 'string') return body.detail;
  } catch {
    // A proxy answers in words of its own.
  }
  return answer.statusMessage ?? '';
}
