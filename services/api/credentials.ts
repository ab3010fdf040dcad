/** What an Authorization header says: HTTP Basic, or a key as Bearer. */
import { nameOfKey } from '../../shared/accounts.ts';

/** A name and the secret that should fit it. */
export interface Credentials {
  name: string;
  secret: string;
}

/** The credentials in a header, or undefined when it has neither form. Basic is UTF-8 (RFC 7617). */
export function credentialsOf(header: string): Credentials | undefined {
  const [, scheme = '', value = ''] = /^(basic|bearer) +(\S+)$/i.exec(header.trim()) ?? [];
  return scheme.toLowerCase() === 'basic' ? basicCredentials(value) : keyCredentials(value);
}

function basicCredentials(value: string): Credentials | undefined {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(value)) return undefined;
  const text = Buffer.from(value, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  return colon < 0 ? undefined : { name: text.slice(0, colon), secret: text.slice(colon + 1) };
}

function keyCredentials(value: string): Credentials | undefined {
  const name = nameOfKey(value);
  return name === undefined ? undefined : { name, secret: value };
}
