/** Connections to a server whose certificate is known: one that the installation's API serves, or one that the system's authorities have signed. */
import { Agent, type RequestOptions } from 'node:https';
import type { Duplex } from 'node:stream';
import { connect } from 'node:tls';

/** How long a connection may take, in milliseconds. */
const CONNECT_MS = 10_000;

/** Who answers is not of this installation. Nothing was sent there. */
export class UntrustedCertificateError extends Error {
  override readonly name = 'UntrustedCertificateError';
}

export class PinnedAgent extends Agent {
  readonly #trusted: () => Promise<ReadonlySet<string>>;

  /** @param trusted tells the fingerprints (SHA-256) that hold now; asked at every connection */
  constructor(trusted: () => Promise<ReadonlySet<string>>, options: { maxSockets: number; timeout: number }) {
    // A resumed session would not show the certificate again.
    super({ ...options, keepAlive: true, maxCachedSessions: 0 });
    this.#trusted = trusted;
  }

  override createConnection(options: RequestOptions, callback: (error: Error | null, stream: Duplex) => void): undefined {
    const { host, port, servername } = options;
    const socket = connect({
      host: host ?? 'localhost',
      port: Number(port ?? 443),
      ...(servername === undefined ? {} : { servername }),
      // Judged below, before anything is written.
      rejectUnauthorized: false,
    });
    let settled = false;
    const settle = (error: Error | null) => {
      if (settled) return;
      settled = true;
      socket.setTimeout(0);
      socket.off('error', settle);
      if (error !== null) socket.on('error', () => {}).destroy();
      callback(error, socket);
    };
    socket.setTimeout(CONNECT_MS, () => settle(new Error(`no connection within ${CONNECT_MS / 1000} s`)));
    socket.on('error', settle);
    socket.once('close', () => settle(new Error('the connection was closed before it was made')));
    socket.once('secureConnect', () => {
      if (socket.authorized) return settle(null);
      const { fingerprint256 } = socket.getPeerCertificate();
      this.#trusted().then(
        (trusted) => settle(trusted.has(fingerprint256) ? null : refusal(host, port, fingerprint256)),
        (error: unknown) => settle(error instanceof Error ? error : new Error(String(error))),
      );
    });
  }
}

function refusal(host: unknown, port: unknown, fingerprint: string): Error {
  return new UntrustedCertificateError(
    `the certificate of ${host}:${port} (SHA-256 ${fingerprint}) is none that this installation’s API serves, and no authority that this machine trusts has signed it`,
  );
}
