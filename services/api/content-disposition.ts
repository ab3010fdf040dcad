/** The content-disposition of a multipart part (RFC 7578), as browsers, curl and Python's requests write it. */

export interface PartDisposition {
  /** The part's name; undefined when there is none. */
  name: string | undefined;
  /** The file's name, as it was sent; undefined when the part is no file. May be empty, and may hold anything. */
  fileName: string | undefined;
}

/** A parameter: `; key=token` or `; key="quoted"`, in which browsers leave a backslash as it is and others escape it and the quote. */
const parameter = /;\s*([\w!#$%&'*+.^`|~-]+)\s*=\s*(?:"((?:\\["\\]|[^"\\]|\\(?!["\\]))*)"(?=\s*(?:;|$))|([^;"]*))/y;

/**
 * Reads a content-disposition.
 * @param header its bytes, one character for each
 * @returns undefined when a name is not UTF-8
 */
export function partDisposition(header: string): PartDisposition | undefined {
  const found = new Map<string, string>();
  parameter.lastIndex = Math.max(0, header.indexOf(';'));
  for (let match = parameter.exec(header); match !== null; match = parameter.exec(header)) {
    const [, key = '', quoted, token = ''] = match;
    found.set(key.toLowerCase(), quoted === undefined ? token.trim() : quoted.replace(/\\(["\\])/g, '$1'));
  }
  try {
    const extended = found.get('filename*');
    const plain = found.get('filename');
    const fileName = extended === undefined ? plain && fromForm(utf8Of(plain)) : fromExtended(extended);
    const name = found.get('name');
    return { name: name === undefined ? undefined : fromForm(utf8Of(name)), fileName: fileName ?? plain };
  } catch {
    return undefined;
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function utf8Of(bytes: string): string {
  return utf8.decode(Buffer.from(bytes, 'latin1'));
}

/** Browsers write a quote and a line break in this way, and nothing else. */
function fromForm(text: string): string {
  return text.replace(/%22|%0D|%0A/gi, (escaped) => decodeURIComponent(escaped));
}

/** `utf-8'language'percent-encoded` (RFC 8187), as older releases of Python's requests send it. */
function fromExtended(text: string): string {
  const encoded = /^utf-8'[^']*'(.*)$/is.exec(text)?.[1];
  if (encoded === undefined) throw new Error('not UTF-8');
  return decodeURIComponent(encoded);
}
