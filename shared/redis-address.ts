/** What REDIS_URL says: one server, a master that Sentinels name, or a cluster. */

export interface RedisNode {
  host: string;
  port: number;
}

export interface RedisCredentials {
  username?: string;
  password?: string;
}

export interface RedisAddress extends RedisCredentials {
  kind: 'server' | 'sentinel' | 'cluster';
  /** The server; the Sentinels; or those nodes of the cluster through which the others are found. */
  nodes: readonly [RedisNode, ...RedisNode[]];
  tls: boolean;
  /** Number of the database; a cluster has only 0. */
  db: number;
  /** Sentinel: the name of the master, and who the Sentinels themselves let in. */
  master?: string;
  sentinel?: RedisCredentials;
}

/** The forms of REDIS_URL, as messages show them. */
const REDIS_URL_FORMS =
  'a redis://[user:password@]host[:port][/db], redis+sentinel://[user:password@]host[:port],host[:port]/MASTERNAME[/db] or ' +
  'redis+cluster://[user:password@]host[:port],host[:port] address; rediss in place of redis for TLS';

const URL_FORM = /^redis(s?)(?:\+(sentinel|cluster))?:\/\/(?:([^/?#]*)@)?([^/?#@]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/s;

const DEFAULT_PORT = { server: 6379, sentinel: 26_379, cluster: 6379 };

/** Query of a Sentinel address: the Sentinels' own user and password. */
const SENTINEL_USER = 'sentinelUsername';
const SENTINEL_PASSWORD = 'sentinelPassword';

/** The address does not fit; `message` is what was expected, without anything that came. */
export class RedisUrlError extends Error {}

/** Reads an address. @throws RedisUrlError */
export function parseRedisUrl(url: string): RedisAddress {
  const [, s, form, userinfo, hosts = '', path = '', query = ''] = URL_FORM.exec(url.trim()) ?? [];
  if (s === undefined) throw new RedisUrlError(REDIS_URL_FORMS);
  const kind: RedisAddress['kind'] = form === 'sentinel' || form === 'cluster' ? form : 'server';
  const address = { kind, nodes: nodesOf(hosts, kind), tls: s === 's', ...credentialsOf(userinfo) };
  const parameters = new URLSearchParams(query);
  if (kind === 'sentinel') {
    const [master, db = '', ...rest] = path.split('/');
    if (!master || rest.length > 0)
      throw new RedisUrlError('the name of the master behind the Sentinels: redis+sentinel://host:port,…/MASTERNAME');
    return { ...address, master: decoded(master), db: databaseOf(db), sentinel: sentinelCredentialsOf(parameters) };
  }
  if (parameters.size > 0) throw new RedisUrlError(`no "?…" in a ${kind === 'cluster' ? 'redis+cluster://' : 'redis://'} address`);
  if (kind === 'cluster' && path !== '') throw new RedisUrlError('no database number: a cluster has only one database');
  return { ...address, db: databaseOf(path) };
}

function nodesOf(text: string, kind: RedisAddress['kind']): RedisAddress['nodes'] {
  const [first, ...others] = text.split(',').map((part) => nodeOf(part, DEFAULT_PORT[kind]));
  if (first === undefined || (kind === 'server' && others.length > 0)) {
    throw new RedisUrlError('one host; several only with redis+sentinel:// or redis+cluster://');
  }
  return [first, ...others];
}

function nodeOf(text: string, defaultPort: number): RedisNode {
  const [, v6, name, port] = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const host = v6 ?? name;
  const number = port === undefined ? defaultPort : Number(port);
  if (host === undefined || number < 1 || number > 65_535) {
    throw new RedisUrlError(
      'hosts as name:port or [IPv6]:port with a port from 1 to 65535; "@", "/", "?", "#" and "%" of a password as %40, %2F, %3F, %23, %25',
    );
  }
  return { host, port: number };
}

function credentialsOf(userinfo: string | undefined): RedisCredentials {
  if (userinfo === undefined) return {};
  const colon = userinfo.indexOf(':');
  const [username, password] = [decoded(userinfo.slice(0, colon)), decoded(userinfo.slice(colon + 1))];
  if (colon < 0 || password === '') throw new RedisUrlError('user:password or :password before the "@"');
  return username === '' ? { password } : { username, password };
}

function sentinelCredentialsOf(parameters: URLSearchParams): RedisCredentials {
  const unknown = [...parameters.keys()].some((name) => name !== SENTINEL_USER && name !== SENTINEL_PASSWORD);
  const [username, password] = [parameters.get(SENTINEL_USER), parameters.get(SENTINEL_PASSWORD)];
  if (unknown || (username !== null && password === null)) {
    throw new RedisUrlError(`behind "?" only ${SENTINEL_PASSWORD}=… and, with it, ${SENTINEL_USER}=…`);
  }
  return { ...(username === null ? {} : { username }), ...(password === null ? {} : { password }) };
}

function databaseOf(text: string): number {
  if (!/^\d{0,5}$/.test(text)) throw new RedisUrlError('a database number behind the last "/"');
  return Number(text);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new RedisUrlError('user, password and name percent-encoded ("%" itself as %25)');
  }
}
