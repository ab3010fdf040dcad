/** What tasks print: console lines and whole lines on standard output and error, each with the job that printed it. */

export type OutputLevel = 'info' | 'warn';

/** A longer line is told in pieces of this many characters. */
const LONGEST_LINE = 8 * 1024;

/**
 * Redirects this thread's (or process') standard output and error.
 * @param owner the job that is running where the text is printed; text of nobody goes where it always went
 */
export function captureOutput<Owner extends object>(
  owner: () => Owner | undefined,
  onLine: (owner: Owner, level: OutputLevel, line: string) => void,
): void {
  for (const [stream, level] of [
    [process.stdout, 'info'],
    [process.stderr, 'warn'],
  ] as const) {
    const begun = new WeakMap<Owner, string>();
    const write = stream.write.bind(stream);
    const capture = (chunk: string | Uint8Array, encoding?: unknown, callback?: unknown): boolean => {
      const whose = owner();
      if (whose === undefined) return write(chunk);
      const text = (begun.get(whose) ?? '') + (typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString('utf8'));
      const lines = text.split('\n');
      const rest = lines.pop() ?? '';
      begun.set(whose, rest.length > LONGEST_LINE ? '' : rest);
      if (rest.length > LONGEST_LINE) lines.push(rest);
      for (const line of lines) for (const piece of pieces(line)) onLine(whose, level, piece);
      const done = typeof encoding === 'function' ? encoding : callback;
      if (typeof done === 'function') queueMicrotask(() => done());
      return true;
    };
    stream.write = capture;
  }
}

function pieces(line: string): string[] {
  if (line.length <= LONGEST_LINE) return [line];
  return Array.from({ length: Math.ceil(line.length / LONGEST_LINE) }, (_, index) =>
    line.slice(index * LONGEST_LINE, (index + 1) * LONGEST_LINE),
  );
}
