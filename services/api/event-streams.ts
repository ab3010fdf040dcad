/** How long a stream is silent at most, and how often that is looked at, in milliseconds. */
const SILENT_MS = 15_000;
const LOOK_MS = 1000;

/** Whether a client may still hear what it hears. */
export type StillAllowed = () => Promise<boolean>;

/** A stream as far as it matters here. */
interface OpenStream {
  keepAlive(): void;
  stop(): void;
}

/** The streams that are open: each gives a sign of life now and then, and ends when its client's account does. */
export class EventStreams {
  /** In the order in which they are due. */
  readonly #open = new Map<OpenStream, { due: number; stillAllowed: StillAllowed }>();
  #timer: NodeJS.Timeout | undefined;

  add(stream: OpenStream, stillAllowed: StillAllowed): void {
    this.#open.set(stream, { due: performance.now() + SILENT_MS, stillAllowed });
    this.#timer ??= setInterval(this.#look, LOOK_MS);
  }

  delete(stream: OpenStream): void {
    this.#open.delete(stream);
    if (this.#open.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  readonly #look = (): void => {
    const now = performance.now();
    for (const [stream, { due, stillAllowed }] of this.#open) {
      if (due > now) return;
      this.#open.delete(stream);
      this.#open.set(stream, { due: now + SILENT_MS, stillAllowed });
      stillAllowed().then(
        (allowed) => (allowed ? stream.keepAlive() : stream.stop()),
        () => stream.stop(),
      );
    }
  };
}
