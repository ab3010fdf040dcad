/** What the fuzz sends over HTTP as it should be, and what it expects. */

export type Kind = 'create' | 'run' | 'batch' | 'check' | 'revoke' | 'status_info' | 'logs' | 'download' | 'upload' | 'page' | 'stray';

/** How an id that the API gave is changed before it is sent back. */
export type Spoiling = 'none' | 'upper case' | 'cut' | 'longer' | 'other uuid' | 'other task' | 'other installation' | 'NUL' | 'dots';

export interface ApiRequest {
  kind: Kind;
  method: string;
  /** `{id}` in it, and in the body, stands for one that the API gave before; `{file}` for the last file that it took. */
  path: string;
  /** Which of the last ids is meant, counted from the newest, and what is done to it. */
  id?: { nth: number; spoiling: Spoiling };
  headers: Readonly<Record<string, string>>;
  body?: string;
  /** What was done to the body, for the report. */
  change?: string;
  /** Statuses that may come; any below 500 when left out. */
  statuses?: readonly number[];
  /** How many ids a 200 must give. */
  ids?: number;
  /** What must hold whatever its id is: the answer of a known one. */
  known?: readonly number[];
}
