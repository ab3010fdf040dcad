/** Source maps of bundles, cut down to what is ours. */

/** The digits of base 64, of which source maps write numbers: five bits each, lowest first, the sixth bit says that more follow. */
const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const VALUES = new Map(Array.from(DIGITS, (digit, value) => [digit, value]));

/**
 * Takes the packages out of a source map (version 3). Stacks name our own sources by it, and a package by its place in the bundle: a process keeps
 * each mapping from its first stack on, of which there are 20 times as many in packages as in what is ours.
 */
export function ownMappings({ sources, mappings, ...map }) {
  const own = sources.map((source) => !source.includes('node_modules/'));
  const from = [0, 0, 0];
  const to = [0, 0, 0];
  let mapped = false;
  const lines = mappings.split(';').map((line) => {
    let column = 0;
    let written = 0;
    return line
      .split(',')
      .flatMap((segment) => {
        const [step = 0, ...place] = numbersOf(segment);
        column += step;
        for (const index of from.keys()) from[index] += place[index] ?? 0;
        const keeps = place.length > 0 && own[from[0]];
        // Where a package begins, one segment without a place ends what is ours.
        if (!keeps && !mapped) return [];
        mapped = keeps;
        const kept = textOf([column - written, ...(keeps ? from.map((value, index) => value - to[index]) : [])]);
        written = column;
        if (keeps) to.splice(0, 3, ...from);
        return [kept];
      })
      .join(',');
  });
  return { ...map, sources: sources.map((source, index) => (own[index] ? source : '')), names: [], mappings: lines.join(';') };
}

function numbersOf(segment) {
  const numbers = [];
  let bits = 0;
  let value = 0;
  for (const digit of segment) {
    const part = VALUES.get(digit);
    value += (part & 31) << bits;
    bits += 5;
    if (part > 31) continue;
    numbers.push(value & 1 ? -(value >> 1) : value >> 1);
    bits = value = 0;
  }
  return numbers;
}

function textOf(numbers) {
  let text = '';
  for (const number of numbers) {
    let rest = number < 0 ? (-number << 1) | 1 : number << 1;
    do {
      text += DIGITS[(rest & 31) | (rest > 31 ? 32 : 0)];
      rest >>= 5;
    } while (rest > 0);
  }
  return text;
}
