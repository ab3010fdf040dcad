/** Passes on the latest of many values, at most one per pause; the last one is never lost. */
export class LatestOnly {
  readonly #pauseMs: number;
  readonly #pass: (value: unknown) => void;
  #held: { value: unknown } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #passedAt = Number.NEGATIVE_INFINITY;

  /** @param pass is given each value that is passed on */
  constructor(pauseMs: number, pass: (value: unknown) => void) {
    this.#pauseMs = pauseMs;
    this.#pass = pass;
  }

  offer(value: unknown): void {
    this.#held = { value };
    const waitMs = this.#passedAt + this.#pauseMs - performance.now();
    // A synchronous loop gives the timer no turn, so a value whose pause is over goes out at once.
    if (waitMs <= 0) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), waitMs).unref();
  }

  /** Passes on what is held back, if anything is. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#held === undefined) return;
    const { value } = this.#held;
    this.#held = undefined;
    this.#passedAt = performance.now();
    this.#pass(value);
  }
}
