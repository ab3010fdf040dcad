/** A text in single quotes, as the older FastTask showed ids in its messages; cut where it is longer than any id. */
export function quoted(text: string): string {
  const longest = 200;
  const shown = text.length > longest ? `${text.slice(0, longest)}…` : text;
  return `'${shown.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
