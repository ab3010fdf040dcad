/** The HTTP server: how it listens, and how it ends without losing a request. */
import { randomUUID } from 'node:crypto';
import { createServer, type Server as PlainServer, type RequestListener, type ServerOptions } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import { Server as NetServer } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Config } from '../../shared/config.ts';
import { codeOf, FastTaskError } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import { ERROR_HEADER } from './answer-error.ts';
import { closeStalled, limitPipelines } from './connection-guard.ts';
import { limitConnections } from './connection-limit.ts';
import { followCertificate, readTls } from './tls.ts';

/** How long idle connections stay open after `stop`, in milliseconds: a request may be on its way on one of them. */
const IDLE_GRACE_MS = 1500;

/** How often connections that have become idle are closed from then on. */
const SWEEP_MS = 100;

/**
 * How long `stop` goes on after the server has closed, in milliseconds: a connection that PM2 hands over just now is given back only by a process
 * that lives; its client would wait in vain.
 */
const HANDED_OVER_MS = 1000;

/** How long `stop` waits for answers, in milliseconds. */
const DRAIN_MS = 8000;

/** How long a client may take for the TLS handshake, and for the headers of a request, in milliseconds. */
const HANDSHAKE_MS = 10_000;

const options: ServerOptions = {
  headersTimeout: 15_000,
  // How long a body may take depends on the route: an upload takes as long as bytes arrive.
  requestTimeout: 0,
  connectionsCheckingInterval: 2000,
  keepAliveTimeout: 30_000,
};

/** What keeps the server from listening; `message` is the one line that says so. */
class ListenError extends FastTaskError {
  constructor(message: string) {
    super('listen_failed', 500, message);
  }
}

export class Server {
  readonly #server: PlainServer | TlsServer;
  readonly #config: Config;
  #stopped: Promise<void> | undefined;
  #unfollow: () => void = () => {};
  readonly #unwatch: () => void;

  /** @throws FastTaskError when the certificate cannot be used */
  constructor(config: Config, listener: RequestListener, log: Logger) {
    this.#config = config;
    const limited = limitPipelines(listener);
    if (config.tls.enabled) {
      const server = createTlsServer({ ...options, ...readTls(config.tls), handshakeTimeout: HANDSHAKE_MS }, limited);
      this.#unfollow = followCertificate(server, config.tls, log);
      this.#server = server;
    } else this.#server = createServer(options, limited);
    this.#unwatch = closeStalled(this.#server, config.tls.enabled ? 'secureConnection' : 'connection');
    // Behind a proxy every connection has the proxy's address.
    if (!config.api.trustProxy) limitConnections(this.#server, config.api.maxConnectionsPerAddress);
    // Node hands CONNECT over raw; it is a method like any other that no route knows.
    this.#server.on('connect', (_request: unknown, socket: Duplex) => refuseConnect(socket));
  }

  /** @throws ListenError when the address cannot be listened on */
  listen(): Promise<void> {
    const { host, port } = this.#config.api;
    return new Promise((resolve, reject) => {
      const fail = (error: Error) => reject(new ListenError(listenFault(error, host, port)));
      this.#server.once('error', fail);
      this.#server.listen({ host, port }, () => {
        this.#server.off('error', fail);
        resolve();
      });
    });
  }

  /** Takes no new connection, answers what has arrived, closes. Safe to call twice. */
  stop(): Promise<void> {
    this.#unfollow();
    this.#unwatch();
    this.#stopped ??= new Promise((resolve) => {
      // The server's own close would cut idle connections at once, and with them a request that is on its way.
      NetServer.prototype.close.call(this.#server, () => finish());
      let sweep: NodeJS.Timeout | undefined;
      const idle = setTimeout(() => {
        sweep = setInterval(() => this.#server.closeIdleConnections(), SWEEP_MS);
      }, IDLE_GRACE_MS);
      const late = setTimeout(() => finish(), DRAIN_MS);
      const finish = () => {
        for (const timer of [sweep, idle, late]) clearTimeout(timer);
        this.#server.closeAllConnections();
        setTimeout(resolve, HANDED_OVER_MS);
      };
    });
    return this.#stopped;
  }
}

function listenFault(error: Error, host: string, port: number): string {
  const code = codeOf(error);
  if (code === 'EADDRINUSE') return `The API cannot listen on ${host}:${port}: another program does (set API_PORT)`;
  if (code === 'EACCES') return `The API may not listen on ${host}:${port} (set API_PORT)`;
  return `The API cannot listen on ${host}:${port}: ${error.message}`;
}

function refuseConnect(socket: Duplex): void {
  const body = '{"detail":"Method Not Allowed"}';
  socket.on('error', () => {});
  socket.end(
    `HTTP/1.1 405 Method Not Allowed\r\nallow: GET, POST\r\n${ERROR_HEADER}: method_not_allowed\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nx-request-id: ${randomUUID()}\r\nconnection: close\r\n\r\n${body}`,
    () => socket.destroy(),
  );
}
