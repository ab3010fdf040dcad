import { expect, test } from 'vitest';
import { basicCredentials } from '../../services/api/access.ts';
import { parseAccounts } from '../../services/api/accounts.ts';

test('plain passwords are accounts, an empty object is none', () => {
  expect(parseAccounts('{"ann":"a:b","bob":"x"}')).toEqual({
    kind: 'some',
    passwords: new Map([
      ['ann', 'a:b'],
      ['bob', 'x'],
    ]),
  });
  expect(parseAccounts('{}')).toEqual({ kind: 'none' });
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
  '{"ann":{"password":"x"}}',
  '{"ann":"$2b$10$abc"}',
  '{"ann":"scrypt$16384$8$1$aa$bb"}',
  '{"ann":"$argon2id$v=19$x"}',
  '{"ann":"ok","bob":null}',
])('%j opens nothing', (text) => expect(parseAccounts(text)).toMatchObject({ kind: 'broken', reason: expect.stringMatching(/./) }));

test('Basic credentials are read in any case of the scheme, and nothing else is', () => {
  const encoded = (text: string) => Buffer.from(text).toString('base64');
  expect(basicCredentials(`bAsIc ${encoded('ann:a:b')}`)).toEqual({ user: 'ann', password: 'a:b' });
  expect(basicCredentials(`Basic ${encoded(':')}`)).toEqual({ user: '', password: '' });
  for (const header of ['', 'Basic', 'Basic ', 'Bearer x', `Basic ${encoded('nocolon')}`, 'Basic !!!', `Basic ${encoded('a:b')} x`])
    expect(basicCredentials(header), header).toBeUndefined();
});
