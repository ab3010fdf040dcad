/** Holds back what a job prints, so that a flood of lines costs the consumer little: the last ones of each moment are told. */
import type { OutputLine } from './thread-protocol.ts';

/** Lines are told together, at most this often, in milliseconds. */
const PAUSE_MS = 50;

/** How many lines are told at once; as many as are kept of a job in all. */
const MOST_LINES = 1000;

export class LineBuffer {
  readonly #tell: (lines: OutputLine[], dropped: number) => void;
  #lines: OutputLine[] = [];
  #dropped = 0;
  #toldAt = performance.now();
  #timer: NodeJS.Timeout | undefined;

  constructor(tell: (lines: OutputLine[], dropped: number) => void) {
    this.#tell = tell;
  }

  add(line: OutputLine): void {
    this.#lines.push(line);
    if (this.#lines.length >= 2 * MOST_LINES) this.#dropped += this.#lines.splice(0, this.#lines.length - MOST_LINES).length;
    // A synchronous loop gives the timer no turn.
    if (performance.now() - this.#toldAt >= PAUSE_MS) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), PAUSE_MS).unref();
  }

  /** Tells what is held back, if anything is. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#toldAt = performance.now();
    if (this.#lines.length === 0) return;
    const lines = this.#lines.slice(-MOST_LINES);
    const dropped = this.#dropped + this.#lines.length - lines.length;
    this.#lines = [];
    this.#dropped = 0;
    this.#tell(lines, dropped);
  }
}
