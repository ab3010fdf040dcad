const wait = /(?:^|[,;])\s*wait\s*=\s*"?(\d{1,9})"?\s*(?=[,;]|$)/i;

/** The seconds of `Prefer: wait=N` (RFC 7240), or undefined when it is not said or not a whole number. */
export function preferredWait(header: string): number | undefined {
  const seconds = header === '' ? undefined : wait.exec(header)?.[1];
  return seconds === undefined ? undefined : Number(seconds);
}
