import { request } from 'node:https';
import { until } from './until.ts';

/** One server-sent event. */
export interface ServerEvent {
  event: string;
  id?: string;
  data: unknown;
}

/** A stream of server-sent events as its client sees it. */
export interface EventClient {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** What has come so far. */
  readonly events: ServerEvent[];
  /** Whether the server has ended the stream. */
  readonly ended: boolean;
  /** Waits until so many events have come. */
  come(count: number): Promise<ServerEvent[]>;
  close(): void;
}

/** Opens a stream. Who opens it closes it, unless the server ends it. */
export function openEvents(origin: string, path: string, headers: Record<string, string> = {}): Promise<EventClient> {
  return new Promise((resolve, reject) => {
    const asking = request(new URL(path, origin), { rejectUnauthorized: false, agent: false, headers }, (answer) => {
      let text = '';
      let ended = false;
      answer.setEncoding('utf8');
      answer.on('data', (chunk: string) => {
        text += chunk;
      });
      answer.on('end', () => {
        ended = true;
      });
      answer.on('error', () => {});
      const client: EventClient = {
        status: answer.statusCode ?? 0,
        headers: answer.headers,
        get events() {
          return parseEvents(text);
        },
        get ended() {
          return ended;
        },
        come: async (count) => {
          await until(() => client.events.length >= count, { what: `${count} events`, timeoutMs: 15_000 });
          return client.events;
        },
        close: () => asking.destroy(),
      };
      resolve(client);
    });
    asking.on('error', reject);
    asking.end();
  });
}

/** The events of a stream's text; comments, and what is not whole yet, are left out. */
export function parseEvents(text: string): ServerEvent[] {
  return text
    .split('\n\n')
    .slice(0, -1)
    .flatMap((block) => {
      const fields = new Map(block.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]));
      const data = fields.get('data');
      if (data === undefined) return [];
      const id = fields.get('id');
      return [{ event: fields.get('event') ?? 'message', ...(id === undefined ? {} : { id }), data: JSON.parse(data) as unknown }];
    });
}
