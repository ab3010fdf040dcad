// The floor of the HTTP cases: a bare Koa over the same certificate. POST /add and /batch: parse the JSON, queue.add or addBulk.
// POST /lean: the same as /add with the settings that FastTask gives its queues. GET /: hello. GET /hash/ID and /job/ID: an ended job of the
// queue that the arguments name (prefix, name), by one HMGET or as BullMQ reads it. Prints the ports of HTTPS and HTTP as JSON.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer as createPlainServer } from 'node:http';
import { createServer } from 'node:https';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import Koa from 'koa';

const connection = new Redis(process.env.REDIS_URL, { maxRetriesPerRequest: null });
const queue = new Queue('floor', { connection });
const [prefix = 'bull', name = 'floor'] = process.argv.slice(2);
const ended = new Queue(name, { connection, prefix, skipMetasUpdate: true });
const lean = new Queue('lean', { connection, skipMetasUpdate: true, streams: { events: { maxLen: 0 } } });

async function bodyOf(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return JSON.parse(Buffer.concat(chunks).toString());
}

async function stored(path) {
  const [, way, id] = path.split('/');
  if (way === 'hash') {
    const [finishedOn, returnvalue] = await connection.hmget(`${prefix}:${name}:${id}`, 'finishedOn', 'returnvalue');
    if (!finishedOn) throw new Error(`expected an ended job, got ${id}`);
    return { id, state: 'completed', result: JSON.parse(returnvalue) };
  }
  const job = await ended.getJob(id);
  return { id, state: await job.getState(), result: job.returnvalue };
}

const app = new Koa();
app.use(async (ctx) => {
  if (ctx.method === 'GET') {
    ctx.body = ctx.path === '/' ? { hello: 'world' } : await stored(ctx.path);
    return;
  }
  const body = await bodyOf(ctx.req);
  if (ctx.path === '/batch') {
    const jobs = await queue.addBulk(body.map((data) => ({ name: 'job', data })));
    ctx.body = { ids: jobs.map(({ id }) => id) };
  } else {
    const { id } = await (ctx.path === '/lean' ? lean : queue).add('job', body);
    ctx.body = { id };
  }
});

const tls = { key: readFileSync(process.env.SSL_KEYFILE), cert: readFileSync(process.env.SSL_CERTFILE), minVersion: 'TLSv1.2' };
const servers = [createServer(tls, app.callback()), createPlainServer(app.callback())];
for (const server of servers) {
  server.keepAliveTimeout = 30_000;
  await once(server.listen(0, '127.0.0.1'), 'listening');
}
const [https, http] = servers.map((server) => server.address().port);
process.stdout.write(`${JSON.stringify({ https, http })}\n`);
