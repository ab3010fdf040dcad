/** The rules for names of files that clients and tasks use: the one place that turns such a name into a path. */
import { sep } from 'node:path';
import { FastTaskError } from './errors.ts';

/** The folder in FILES_DIR that holds FastTask's own files and is never served. */
export const SYSTEM_FOLDER = 'fasttask';

/** Control characters: C0, DEL and C1. */
const control = /\p{Cc}/u;

/** A file name that is refused: 400 when it is malformed or leads out of FILES_DIR, 403 when it leads into the system folder. */
export class FileNameError extends FastTaskError {
  constructor(code: 'file_name_refused' | 'system_folder', detail: string) {
    super(code, code === 'system_folder' ? 403 : 400, detail);
  }
}

/** Whether a text holds a control character. */
export function hasControlCharacter(text: string): boolean {
  return control.test(text);
}

/**
 * The path in FILES_DIR, with `/` between its segments, that a name stands for; empty for FILES_DIR itself. The name is taken
 * letter by letter: nothing in it is decoded or normalised.
 * @throws FileNameError 400, 403
 */
export function pathOfName(name: string): string {
  if (name.includes('..') || /^[/\\]/.test(name)) {
    throw new FileNameError('file_name_refused', 'Invalid file name: expected a name relative to the files folder, without ".."');
  }
  if (hasControlCharacter(name)) throw new FileNameError('file_name_refused', 'Invalid file name: control characters are not allowed');
  if (segmentsOf(name, /[/\\]/)[0]?.toLowerCase() === SYSTEM_FOLDER) {
    throw new FileNameError('system_folder', 'Access to this folder is forbidden');
  }
  if (name.includes('\\') && (sep === '\\' || name.includes('/'))) {
    throw new FileNameError('file_name_refused', 'Invalid file name: expected "/" between folders, not "\\"');
  }
  return segmentsOf(name, '/').join('/');
}

function segmentsOf(name: string, separator: string | RegExp): string[] {
  return name.split(separator).filter((segment) => segment !== '' && segment !== '.');
}
