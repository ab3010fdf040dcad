import { describe, expect, test } from 'vitest';
import { credentialsOf } from '../../services/api/credentials.ts';
import { keyText, momentOf, nameOfKey, parseAccounts } from '../../shared/accounts.ts';
import { decoyOf, hashSecret, isSecret, parseSecretHash } from '../../shared/secret-hash.ts';

const secret = `scrypt$16384$8$1$${'a'.repeat(22)}$${'b'.repeat(43)}`;
const parse = (content: unknown) => parseAccounts(Buffer.from(typeof content === 'string' ? content : JSON.stringify(content)));
const named = (content: unknown) => {
  const accounts = parse(content);
  if (accounts.kind !== 'some') throw new Error(`expected accounts, got ${JSON.stringify(accounts)}`);
  return accounts.byName;
};

describe('the accounts file', () => {
  test('plain passwords are admins, an empty object is no account', () => {
    expect([...named('{"ann":"a:b","bob":"x"}').values()]).toEqual([
      { name: 'ann', role: 'admin', tasks: undefined, expiresAt: undefined, secret: { plain: 'a:b' } },
      { name: 'bob', role: 'admin', tasks: undefined, expiresAt: undefined, secret: { plain: 'x' } },
    ]);
    expect(parse('{}')).toEqual({ kind: 'none' });
  });

  test('a record has a hash and a role, and may have tasks and an end', () => {
    const full = { secret, role: 'submitter', tasks: ['resize', 'noop'], expires: '2027-01-31' };
    const accounts = named({ bob: full, eve: { secret, role: 'viewer' } });
    expect(accounts.get('bob')).toMatchObject({
      role: 'submitter',
      tasks: new Set(['resize', 'noop']),
      expiresAt: Date.UTC(2027, 0, 31),
      secret: { hash: { options: { N: 16384, r: 8, p: 1 } } },
    });
    expect(accounts.get('eve')).toMatchObject({ role: 'viewer', tasks: undefined, expiresAt: undefined });
  });

  test('a byte order mark is passed over, of two records of one name the last holds', () => {
    expect(named('\uFEFF{"ann":"one","ann":"two"}').get('ann')).toMatchObject({ secret: { plain: 'two' } });
  });

  test('names that every object has are names like any other', () => {
    const accounts = named(`{"__proto__":"x","constructor":{"secret":"${secret}","role":"viewer"}}`);
    expect([...accounts.keys()]).toEqual(['__proto__', 'constructor']);
    expect(accounts.get('constructor')?.role).toBe('viewer');
    expect(named('{"ann":"x"}').get('__proto__')).toBeUndefined();
  });

  test.each([
    '',
    ' ',
    '[]',
    'null',
    '"x"',
    '{"ann":',
    '{"ann":1}',
    '{"ann":""}',
    '{"":"x"}',
    '{"a:b":"x"}',
    '{"ann":"$2b$10$abc"}',
    '{"ann":"scrypt$16384$8$1$aa$bb"}',
    '{"ann":"$argon2id$v=19$x"}',
    '{"ann":"ok","bob":null}',
    '{"ann":"ok","bob":[]}',
    { ann: {} },
    { ann: { secret } },
    { ann: { role: 'admin' } },
    { ann: { secret: 'plain', role: 'admin' } },
    { ann: { secret, role: 'Admin' } },
    { ann: { secret, role: 'root' } },
    { ann: { secret, role: 'admin', extra: 1 } },
    `{"ann":{"secret":"${secret}","role":"admin","__proto__":{}}}`,
    { ann: { secret, role: 'admin', tasks: [] } },
    { ann: { secret, role: 'admin', tasks: 'noop' } },
    { ann: { secret, role: 'admin', tasks: ['no/op'] } },
    { ann: { secret, role: 'admin', tasks: null } },
    { ann: { secret, role: 'admin', expires: 1 } },
    { ann: { secret, role: 'admin', expires: '2027-02-30' } },
    { ann: { secret, role: 'admin', expires: 'never' } },
    { ann: { secret, role: 'admin', expires: null } },
    { ok: 'fine', ann: { secret: `${secret}$`, role: 'admin' } },
  ])('%j is broken, and its reason tells no secret', (content) => {
    const accounts = parse(content);
    expect(accounts).toEqual({ kind: 'broken', reason: expect.stringMatching(/expected/) });
    expect(JSON.stringify(accounts)).not.toMatch(/argon2id|scrypt\$\d|abc|bbbb|plain"|fine/);
  });

  test('text that is not UTF-8 is broken, and a fault names its record', () => {
    expect(parseAccounts(Buffer.from('{"ann":"p\xe4ss"}', 'latin1'))).toMatchObject({ reason: expect.stringContaining('UTF-8') });
    expect(parse({ ann: 'ok', bob: { secret, role: 'boss' } })).toMatchObject({ reason: expect.stringMatching(/"bob".*admin, viewer/) });
  });

  test('an end is a day or a moment with its time zone', () => {
    expect(momentOf('2027-01-31')).toBe(Date.UTC(2027, 0, 31));
    expect(momentOf('2027-01-31T12:00:00+02:00')).toBe(Date.UTC(2027, 0, 31, 10));
    for (const text of ['', '2027', '2027-13-01', '2027-02-29', '2027-01-31T12:00', '2027-01-31T25:00Z', '31.1.2027', ' 2027-01-31'])
      expect(momentOf(text), text).toBeUndefined();
  });
});

describe('hashed secrets', () => {
  test('a hash fits its secret and no other, and each has a salt of its own', async () => {
    const text = await hashSecret('päss wörd');
    expect(text).toMatch(/^scrypt\$32768\$8\$3\$[\w-]{22}\$[\w-]{43}$/);
    const hash = parseSecretHash(text);
    if (hash === undefined) throw new Error('expected a hash');
    expect(await isSecret('päss wörd', hash)).toBe(true);
    expect(await isSecret('päss word', hash)).toBe(false);
    expect(await isSecret('päss wörd', decoyOf(hash))).toBe(false);
    expect(await hashSecret('päss wörd')).not.toBe(text);
  }, 60_000);

  test('settings that protect nothing or fill the memory are refused', () => {
    expect(parseSecretHash(secret)).toBeDefined();
    for (const [from, to] of [
      ['16384', '16383'],
      ['16384', '1024'],
      ['16384', '262144'],
      ['16384', '0'],
      ['$8$', '$0$'],
      ['$8$', '$64$'],
      ['$8$1$', '$8$99$'],
      ['aaa', 'a+a'],
      ['bbb', 'b'.repeat(90)],
    ] as const)
      expect(parseSecretHash(secret.replace(from, to)), to).toBeUndefined();
  });
});

describe('credentials', () => {
  const encoded = (text: string) => Buffer.from(text).toString('base64');
  const random = 'x1Y'.repeat(14);

  test('Basic is read in any case of the scheme, as UTF-8', () => {
    expect(credentialsOf(`bAsIc ${encoded('ann:a:b')}`)).toEqual({ name: 'ann', secret: 'a:b' });
    expect(credentialsOf(`Basic ${encoded(':')}`)).toEqual({ name: '', secret: '' });
    expect(credentialsOf(`Basic ${encoded('änn:päß')}`)).toEqual({ name: 'änn', secret: 'päß' });
  });

  test('the name of a key ends at its last underscore', () => {
    for (const name of ['ci', 'build_bot', 'a_b_', 'ann@example.org', '__proto__'])
      expect(credentialsOf(`Bearer ${keyText(name, random)}`)).toEqual({ name, secret: `ft_${name}_${random}` });
    for (const text of ['', 'ft__', `ft_${random}`, `ft_ci_${random.slice(3)}`, `ft_ci_${random}-`, `xx_ci_${random}`])
      expect(nameOfKey(text), text).toBeUndefined();
  });

  test('nothing else is', () => {
    const headers = ['', 'Basic', 'Basic ', 'Bearer x', `Basic ${encoded('nocolon')}`, 'Basic !!!', `Basic ${encoded('a:b')} x`];
    for (const header of [...headers, `Digest ${encoded('a:b')}`, encoded('a:b'), `Bearer ${encoded('a:b')}`, `Basic ft_ci_${random}`])
      expect(credentialsOf(header), header).toBeUndefined();
  });
});
