import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import type { Config } from '../../shared/config.ts';

/** Where a node's API is reached from this machine. */
export interface NodeAddress {
  /** Such as https://127.0.0.1:9001 */
  url: string;
  docs: boolean;
}

/** The address of this node's API, if it has one. An API that listens everywhere is reached over loopback. */
export function addressOf({ api, runs, tls }: Config): NodeAddress | null {
  if (!runs.api) return null;
  const host = api.host === '0.0.0.0' ? '127.0.0.1' : api.host === '::' ? '::1' : api.host;
  const url = `${tls.enabled ? 'https' : 'http'}://${isIP(host) === 6 ? `[${host}]` : host}:${api.port}`;
  return { url, docs: api.serves.docs };
}

const ANSWER_WITHIN_MS = 2_000;

/** One GET: the status and the body, or undefined when nobody answers. The certificate is our own and is not checked. */
export function get(url: string): Promise<{ status: number; body: string } | undefined> {
  return new Promise((resolve) => {
    const options = { timeout: ANSWER_WITHIN_MS, rejectUnauthorized: false, agent: false };
    const request = (url.startsWith('https:') ? httpsRequest : httpRequest)(url, options, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk;
      });
      response.once('close', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    request.once('timeout', () => request.destroy());
    request.once('error', () => resolve(undefined));
    request.end();
  });
}

/** The tasks that the API serves, or undefined when it does not tell (it may ask for an account). */
export async function loadedTasks({ url }: NodeAddress): Promise<string[] | undefined> {
  const answer = await get(`${url}/openapi.json`);
  if (answer?.status !== 200) return undefined;
  const names = [...answer.body.matchAll(/"\/(?:run|create)\/([A-Za-z_][A-Za-z0-9_]*)":/g)].map((match) => match[1] ?? '');
  return [...new Set(names)].sort();
}
