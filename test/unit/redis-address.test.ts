import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadConfig, projectDir } from '../../shared/config.ts';
import { ConfigError } from '../../shared/errors.ts';
import { parseRedisUrl, RedisUrlError } from '../../shared/redis-address.ts';

const PASSWORD = 'S3cret';

test.each([
  ['redis://r', { kind: 'server', nodes: [{ host: 'r', port: 6379 }], tls: false, db: 0 }],
  [
    'redis://:p%40%2f%25@10.0.0.1:7000/3',
    { kind: 'server', nodes: [{ host: '10.0.0.1', port: 7000 }], password: 'p@/%', tls: false, db: 3 },
  ],
  [
    'rediss://us%3Aer:p:w@[::1]:7/',
    { kind: 'server', nodes: [{ host: '::1', port: 7 }], username: 'us:er', password: 'p:w', tls: true, db: 0 },
  ],
  ['redis://:a@b@host', { kind: 'server', nodes: [{ host: 'host', port: 6379 }], password: 'a@b', tls: false, db: 0 }],
  [
    'redis+sentinel://u:p@s1,s2:5/my-master/2?sentinelPassword=q%26&sentinelUsername=w',
    {
      kind: 'sentinel',
      nodes: [
        { host: 's1', port: 26_379 },
        { host: 's2', port: 5 },
      ],
      username: 'u',
      password: 'p',
      tls: false,
      db: 2,
      master: 'my-master',
      sentinel: { username: 'w', password: 'q&' },
    },
  ],
  ['rediss+sentinel://s/m', { kind: 'sentinel', nodes: [{ host: 's', port: 26_379 }], tls: true, db: 0, master: 'm', sentinel: {} }],
  [
    'rediss+cluster://u:p@h1:7000,[fe80::1]:7001',
    {
      kind: 'cluster',
      nodes: [
        { host: 'h1', port: 7000 },
        { host: 'fe80::1', port: 7001 },
      ],
      username: 'u',
      password: 'p',
      tls: true,
      db: 0,
    },
  ],
] as const)('%s is read', (url, address) => {
  expect(parseRedisUrl(url)).toEqual(address);
});

test.each([
  [`http://:${PASSWORD}@r`, /redis:\/\/.*redis\+sentinel.*redis\+cluster/],
  ['redis://', /hosts as name:port/],
  [`redis://:${PASSWORD}#1@r`, /redis:\/\//],
  [`redis://:${PASSWORD}/1@r`, /hosts as name:port.*%2F/],
  [`redis://${PASSWORD}@r`, /user:password or :password/],
  [`redis://u:${PASSWORD}%zz@r`, /percent-encoded/],
  ['redis://r:70000', /port from 1 to 65535/],
  ['redis://r/one', /database number/],
  ['redis://a,b', /one host/],
  [`redis://r?password=${PASSWORD}`, /no "\?…"/],
  ['redis+cluster://a:1,b:2/1', /a cluster has only one database/],
  ['redis+cluster://a:1,,b', /hosts as name:port/],
  ['redis+sentinel://a:1', /name of the master/],
  ['redis+sentinel://a:1/m/1/2', /name of the master/],
  [`redis+sentinel://a/m?sentinelPasword=${PASSWORD}`, /only sentinelPassword/],
])('%s is refused, and nothing of it repeated', (url, expected) => {
  expect(() => parseRedisUrl(url)).toThrow(RedisUrlError);
  try {
    loadConfig({ NODE_TYPE: 'single_node', REDIS_URL: url });
    expect.unreachable();
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    const { message } = error as ConfigError;
    expect(message).toMatch(expected);
    expect(message).toContain('REDIS_URL=(hidden)');
    expect(message).not.toContain(PASSWORD);
  }
});

describe('the files of a TLS connection', () => {
  const readable = join(projectDir, 'package.json');
  const faultsOf = (more: Record<string, string>) => {
    try {
      loadConfig({ NODE_TYPE: 'distributed_worker', REDIS_URL: 'rediss://r', ...more });
      return [];
    } catch (error) {
      return (error as ConfigError).faults.map(({ variable, expected }) => `${variable}: ${expected}`);
    }
  };

  test('are absolute in the settings, from FASTTASK_DIR', () => {
    const more = { REDIS_TLS_CA: 'package.json', REDIS_TLS_CERT: readable, REDIS_TLS_KEY: readable };
    const { redis } = loadConfig({ NODE_TYPE: 'single_node', REDIS_URL: 'rediss+cluster://r', ...more });
    expect(redis.tls).toEqual({ ca: readable, cert: readable, key: readable });
  });

  test('must be readable, certificate and key together, and for an address with TLS', () => {
    expect(faultsOf({ REDIS_TLS_CA: '/none', REDIS_TLS_CERT: readable })).toEqual([
      'REDIS_TLS_CA: a readable file',
      'REDIS_TLS_KEY: a readable file, because REDIS_TLS_CERT is set',
    ]);
    expect(faultsOf({ REDIS_TLS_KEY: readable })).toEqual(['REDIS_TLS_CERT: a readable file, because REDIS_TLS_KEY is set']);
    expect(faultsOf({ REDIS_URL: 'redis://r', REDIS_TLS_CA: readable })).toEqual([
      'REDIS_TLS_CA: REDIS_URL with TLS (rediss://, rediss+sentinel:// or rediss+cluster://)',
    ]);
  });
});
