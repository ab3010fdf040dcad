import { ValidationError } from '../../shared/errors.ts';
import { hasControlCharacter, pathOfName } from '../../shared/file-name.ts';

/** Bytes of UTF-8: with the uuid before it and `.json` after it, it still is a file name. */
const MAX_NAME_BYTES = 200;

/**
 * The last part of the name that a client gave its file.
 * @throws FileNameError 400, 403 · ValidationError 422
 */
export function uploadName(given: string): string {
  if (hasControlCharacter(given)) throw fileProblem('the file name must not have control characters', given);
  const last = given.split(/[/\\]/).at(-1) ?? '';
  // A backslash between folders is how some browsers name a file; everything else holds as for a download.
  pathOfName(given.replace(/(?!^)\\/g, '/'));
  if (last === '' || last === '.') throw fileProblem('expected a file name, got a folder', given);
  const bytes = Buffer.byteLength(last);
  if (bytes > MAX_NAME_BYTES) throw fileProblem(`the file name may have at most ${MAX_NAME_BYTES} bytes of UTF-8, got ${bytes}`, given);
  return last;
}

/** 422: the part `file` does not fit. */
export function fileProblem(reason: string, given: string | null): ValidationError {
  const input = given === null ? null : given.slice(0, 1024);
  return new ValidationError([{ type: 'value_error', loc: ['body', 'file'], msg: `Value error, ${reason}`, input }]);
}

/** 422: there is no part `file`. */
export function missingFile(): ValidationError {
  return new ValidationError([{ type: 'missing', loc: ['body', 'file'], msg: 'Field required', input: null }]);
}
