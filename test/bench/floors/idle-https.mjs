// The floor of clients that wait: plain node:https with connections on which nothing happens. Prints its port as JSON.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';

const tls = { key: readFileSync(process.env.SSL_KEYFILE), cert: readFileSync(process.env.SSL_CERTFILE), minVersion: 'TLSv1.2' };
const server = createServer(tls, (_request, response) => response.end());
server.headersTimeout = 0;
server.requestTimeout = 0;
await once(server.listen(0, '127.0.0.1'), 'listening');
process.stdout.write(`${JSON.stringify({ port: server.address().port })}\n`);
