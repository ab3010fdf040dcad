/** /events in the OpenAPI document. */
import { always, withBody } from './openapi-responses.ts';
import { eventsSchema } from './request-schemas.ts';

type Fragment = Record<string, unknown>;

const EXAMPLE = `retry: 1000

event: end
id: Ab12Cd34-resize-0199d4a5-7c1e-7a30-8f52-3a0c6f1f9b7e
data: {"id":"Ab12Cd34-resize-0199d4a5-7c1e-7a30-8f52-3a0c6f1f9b7e","state":"SUCCESS","result":{"width":640}}

event: done
id: done
data: {}

`;

const stream = {
  description:
    'One event for each job. `end`: its id, state and result, as /check tells them; at once where it has ended. `unknown`: its id, and `detail` as ' +
    'the 404 of /check. When all are told, `done`, and the stream ends. One that ends without `done` broke off: ask again, and ends may be told ' +
    'twice. A comment every 15 s keeps the connection alive.',
  content: { 'text/event-stream': { schema: { type: 'string' }, example: EXAMPLE } },
};

const responses = {
  '200': stream,
  '204': { description: 'All was told: the answer to a browser that connects again with the `Last-Event-ID` of `done`.' },
  ...always,
};

const lastEventId = {
  name: 'Last-Event-ID',
  in: 'header',
  description: 'What a browser sends when it connects again.',
  schema: { type: 'string' },
};

/** @param tags of the operations */
export function eventPaths(tags: readonly string[]): Fragment {
  const description = 'For EventSource and other clients of server-sent events. Jobs that the caller may not see are `unknown`.';
  return {
    '/events': {
      get: {
        tags,
        operationId: 'events',
        summary: 'The ends of jobs, as they come',
        description,
        parameters: [
          {
            name: 'ids',
            in: 'query',
            required: true,
            description: 'Ids, separated by commas; a URL has room for some 250.',
            style: 'form',
            explode: false,
            schema: eventsSchema.properties.ids,
          },
          lastEventId,
        ],
        responses,
      },
      post: {
        tags,
        operationId: 'events_of_many',
        summary: 'The ends of many jobs, as they come',
        description,
        parameters: [lastEventId],
        requestBody: { required: true, content: { 'application/json': { schema: eventsSchema } } },
        responses: { ...responses, ...withBody },
      },
    },
  };
}
