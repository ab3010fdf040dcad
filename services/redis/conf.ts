import type { Config } from '../../shared/config.ts';

/** What the embedded server is started with. */
export interface RedisConf {
  listenHost: string;
  port: number;
  password: string;
  /** Where the data lies; it must exist. */
  dataDir: string;
}

/** The settings of the embedded server of an installation. */
export function redisConfOf({ redis }: Pick<Config, 'redis'>, dataDir: string): RedisConf {
  return { listenHost: redis.listenHost, port: redis.port, password: redis.password, dataDir };
}

/**
 * The text of redis.conf: nothing is evicted, every change is in the append-only file within a second, and the password
 * stands here and not in a command line. It holds a secret: write it 0600.
 */
export function redisConf({ listenHost, port, password, dataDir }: RedisConf): string {
  const lines: [name: string, ...values: string[]][] = [
    ['bind', ...addresses(listenHost)],
    ['port', String(port)],
    ['protected-mode', 'yes'],
    ['requirepass', quoted(password)],
    ['dir', quoted(dataDir)],
    ['appendonly', 'yes'],
    ['appendfsync', 'everysec'],
    ['save', '""'],
    ['maxmemory-policy', 'noeviction'],
    // The older name, which every version since 6.2 understands: a job's hash stays compact with values up to 1 KB.
    ['hash-max-ziplist-value', '1024'],
    ['daemonize', 'no'],
    // A title would overwrite the process's environment, by which a left-over server is recognised.
    ['set-proc-title', 'no'],
  ];
  return `${lines.map((words) => words.join(' ')).join('\n')}\n`;
}

/** This node's own clients use 127.0.0.1, so the server listens there too, unless the address given covers it. */
function addresses(listenHost: string): string[] {
  const host = listenHost === 'localhost' ? '127.0.0.1' : listenHost;
  return host === '0.0.0.0' || host === '127.0.0.1' ? [host] : [host, '127.0.0.1'];
}

/** A value in redis.conf's double quotes: everything but plain characters as \xHH, which no parser can take for syntax. */
function quoted(value: string): string {
  const escaped = Array.from(Buffer.from(value, 'utf8'), (byte) => {
    const character = String.fromCharCode(byte);
    return /[A-Za-z0-9/._ -]/.test(character) ? character : `\\x${byte.toString(16).padStart(2, '0')}`;
  });
  return `"${escaped.join('')}"`;
}
