/** Lets so many go on at once; the others wait in line. */
export class Turns {
  #free: number;
  readonly #line = new Set<() => void>();

  /** @param most how many may hold a turn */
  constructor(most: number) {
    this.#free = most;
  }

  /** Resolves when it is one's turn: whoever takes it gives it back once. @throws the signal's reason */
  async take(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#free > 0) {
      this.#free -= 1;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const begin = () => {
        signal.removeEventListener('abort', leave);
        resolve();
      };
      const leave = () => {
        this.#line.delete(begin);
        reject(signal.reason);
      };
      this.#line.add(begin);
      signal.addEventListener('abort', leave, { once: true });
    });
  }

  giveBack(): void {
    const [next] = this.#line;
    if (next === undefined) {
      this.#free += 1;
      return;
    }
    this.#line.delete(next);
    next();
  }
}
