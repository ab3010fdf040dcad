/** Counts answers by kind of request and status. */
export class Tally {
  readonly #kinds = new Map<string, { requests: number; statuses: Map<string, number> }>();

  /** @param statuses of one request: several when it was pipelined, a word where no answer came */
  count(kind: string, statuses: readonly (number | string)[]): void {
    const known = this.#kinds.get(kind) ?? { requests: 0, statuses: new Map<string, number>() };
    known.requests += 1;
    for (const status of statuses) known.statuses.set(String(status), (known.statuses.get(String(status)) ?? 0) + 1);
    this.#kinds.set(kind, known);
  }

  /** How many requests were answered with a status. */
  of(status: number): number {
    return [...this.#kinds.values()].reduce((sum, { statuses }) => sum + (statuses.get(String(status)) ?? 0), 0);
  }

  /** A table in Markdown, one line for each kind. */
  table(): string {
    const lines = [...this.#kinds]
      .sort(([one], [other]) => one.localeCompare(other))
      .map(([kind, { requests, statuses }]) => {
        const counts = [...statuses].sort(([one], [other]) => one.localeCompare(other)).map(([status, count]) => `${status}: ${count}`);
        return `| ${kind} | ${requests} | ${counts.join(', ')} |`;
      });
    return ['| kind | requests | answers |', '|---|---|---|', ...lines].join('\n');
  }
}
