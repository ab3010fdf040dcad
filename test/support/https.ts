import { Agent, FormData, request } from 'undici';
import { z } from 'zod';

/** An answer of the API. `body` is the parsed JSON, or the text when it is not JSON. */
export interface Answer {
  status: number;
  headers: Readonly<Record<string, string | string[] | undefined>>;
  body: unknown;
}

interface Options {
  headers?: Record<string, string>;
  /** user and password for HTTP Basic */
  auth?: readonly [user: string, password: string];
  timeoutMs?: number;
}

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE' | 'PATCH' | 'OPTIONS';

const agents = new Set<Agent>();

/**
 * A client for one API that accepts its self-signed certificate. Its connections are closed after the test file.
 * @param origin such as https://127.0.0.1:9001
 * @param localAddress where it calls from, such as 127.0.0.2; the system's choice when left out
 */
export function apiClient(origin: string, localAddress?: string) {
  const agent = new Agent({ connect: { rejectUnauthorized: false }, ...(localAddress === undefined ? {} : { localAddress }) });
  agents.add(agent);

  /** `body`: undefined sends none, a string, bytes or a form as it is, anything else as JSON. */
  async function send(
    method: Method,
    path: string,
    body?: unknown,
    { headers = {}, auth, timeoutMs = 30_000 }: Options = {},
  ): Promise<Answer> {
    const raw = body === undefined || typeof body === 'string' || body instanceof Uint8Array || body instanceof FormData;
    const answer = await request(new URL(path, origin), {
      method,
      dispatcher: agent,
      body: raw ? (body ?? null) : JSON.stringify(body),
      headers: {
        ...(raw ? {} : { 'content-type': 'application/json' }),
        ...(auth === undefined ? {} : { authorization: `Basic ${Buffer.from(auth.join(':')).toString('base64')}` }),
        ...headers,
      },
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
    });
    const text = await answer.body.text();
    const isJson = String(answer.headers['content-type']).includes('json') && text !== '';
    return { status: answer.statusCode, headers: answer.headers, body: isJson ? JSON.parse(text) : text };
  }

  return {
    origin,
    send,
    get: (path: string, options?: Options) => send('GET', path, undefined, options),
    post: (path: string, body?: unknown, options?: Options) => send('POST', path, body, options),
  };
}

const jobAnswer = z.object({ id: z.string(), state: z.string(), result: z.unknown() });

/** The `{id, state, result}` of /run, /create and /check. @throws ZodError when the answer is another one */
export function jobOf(answer: Answer): z.infer<typeof jobAnswer> {
  return jobAnswer.parse(answer.body);
}

/** Closes the connections of every client; safe to call twice. */
export async function closeClients(): Promise<void> {
  const open = [...agents];
  agents.clear();
  await Promise.all(open.map((agent) => agent.destroy()));
}
