/** The text of a failed job: error name, message, and the frames of task files only. */
import { messageOf } from '../../shared/errors.ts';

/** Longest failure text, in characters. */
const LONGEST_TEXT = 8 * 1024;

/** Folders of which a client does not learn where they lie. Absolute. */
export interface HiddenFolders {
  tasksDir: string;
  filesDir?: string;
}

/**
 * What a client may see of an error: its name, its message, and the stack frames inside the tasks folder, with paths relative
 * to the tasks and files folders. Frames of FastTask, of libraries and of Node are left out, and with them every path of the machine.
 */
export function failureText(thrown: unknown, folders: HiddenFolders): string {
  try {
    return describe(thrown, folders);
  } catch {
    return 'Error: the task threw something that cannot be described';
  }
}

function describe(thrown: unknown, folders: HiddenFolders): string {
  const head =
    thrown instanceof Error
      ? `${nameOf(thrown)}: ${scrub(thrown.message, folders)}`
      : `Error: the task threw ${printed(thrown)}, not an Error`;
  const frames = thrown instanceof Error ? framesOf(thrown, folders) : [];
  return [head, ...frames].join('\n').slice(0, LONGEST_TEXT);
}

function nameOf(error: Error): string {
  return typeof error.name === 'string' && error.name !== '' ? error.name : 'Error';
}

function framesOf(error: Error, folders: HiddenFolders): string[] {
  const stack = safely(() => (typeof error.stack === 'string' ? error.stack : ''));
  return stack
    .split('\n')
    .filter((line) => /^\s+at /.test(line) && line.includes(folders.tasksDir) && !line.includes('node_modules'))
    .map((line) => scrub(line, folders));
}

function scrub(text: string, { tasksDir, filesDir }: HiddenFolders): string {
  const rest = withoutFolder(text, tasksDir);
  return filesDir === undefined ? rest : withoutFolder(rest, filesDir);
}

/** A text in which the paths of what lies in a folder begin there. @param folder absolute */
export function withoutFolder(text: string, folder: string): string {
  return text.replaceAll(`file://${folder}/`, '').replaceAll(`${folder}/`, '');
}

function printed(thrown: unknown): string {
  const json = safely(() => (typeof thrown === 'object' ? JSON.stringify(thrown) : String(thrown)));
  return `${typeof thrown} ${json ?? ''}`.trim().slice(0, 1000);
}

function safely(read: () => string): string {
  try {
    return read();
  } catch (error) {
    return messageOf(error);
  }
}
