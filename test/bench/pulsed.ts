/** What the probe tasks note in files. */
import { existsSync, readFileSync } from 'node:fs';

/** The number that a probe's pulse has written last, in milliseconds on the machine's steady clock; undefined when there is none yet. */
export function pulsed(file: string): number | undefined {
  if (!existsSync(file)) return undefined;
  const bytes = readFileSync(file);
  return bytes.length === 8 ? bytes.readDoubleLE() : undefined;
}
