/** Sends requests over a few connections that are kept open. */
import { Agent } from 'undici';
import type { ApiRequest } from './request.ts';

export interface Reply {
  status: number;
  headers: Readonly<Record<string, string | string[] | undefined>>;
  text: string;
}

/** How long an answer may take, in milliseconds. */
const PATIENCE_MS = 30_000;

export class Exchange {
  readonly #origin: string;
  readonly #agent: Agent;

  /** @param origin such as https://127.0.0.1:9001 */
  constructor(origin: string, connections: number) {
    this.#origin = origin;
    this.#agent = new Agent({ connections, connect: { rejectUnauthorized: false }, headersTimeout: PATIENCE_MS, bodyTimeout: PATIENCE_MS });
  }

  /** @throws Error when the connection ends without an answer, or none comes in time */
  async send({ method, path, headers, body }: ApiRequest): Promise<Reply> {
    const own = body === undefined ? headers : { 'content-type': 'application/json', ...headers };
    const answer = await this.#agent.request({ origin: this.#origin, path, method, headers: own, body: body ?? null });
    return { status: answer.statusCode, headers: answer.headers, text: await answer.body.text() };
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }
}
