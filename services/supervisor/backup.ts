/** `npm run backup`: what a node with an API keeps, in one archive, and back into an empty installation. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { codeOf, messageOf } from '../../shared/errors.ts';
import { restoreBackup } from './backup-restore.ts';
import { saveBackup } from './backup-save.ts';
import type { Installation } from './installation.ts';
import { SupervisorError } from './pm2.ts';
import { makeFolder } from './preparation.ts';

const USAGE = 'save FILE [--files] or restore FILE; FILE is - for the standard output or input';

/** Saves or restores. @throws SupervisorError with one line; then nothing was written, or what was is named */
export async function backup(node: Installation, args: readonly string[]): Promise<void> {
  const { config } = node;
  if (!config.runs.api) throw new SupervisorError('a worker keeps nothing: use the command on the node that runs the API');
  const { action, file, files } = readCommand(args);
  // The standard output may be the archive.
  const say = file === '-' ? (line: string) => void process.stderr.write(`${line}\n`) : node.say;
  for (const folder of [config.dirs.files, config.dirs.system]) makeFolder(folder, 0o755);
  const work = makeWorkFolder(join(config.dirs.system, 'backup'));
  try {
    if (action === 'save') await saveBackup({ ...node, say }, { file, files, work });
    else await restoreBackup({ ...node, say }, { file, work });
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function readCommand(args: readonly string[]): { action: 'save' | 'restore'; file: string; files: boolean } {
  try {
    const { positionals, values } = parseArgs({ args: [...args], allowPositionals: true, options: { files: { type: 'boolean' } } });
    const [action, file, ...more] = positionals;
    const { files = false } = values;
    if ((action === 'save' || (action === 'restore' && !files)) && file !== undefined && more.length === 0) return { action, file, files };
  } catch (error) {
    throw new SupervisorError(`${messageOf(error).split('. ')[0]}; expected ${USAGE}`);
  }
  throw new SupervisorError(`expected ${USAGE}; got ${args.join(' ') || 'nothing'}`);
}

/** On the disk of FILES_DIR, so that what is moved there is not copied. There is one: two commands at once would mix. */
function makeWorkFolder(folder: string): string {
  try {
    mkdirSync(folder, { mode: 0o700 });
    return folder;
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
    throw new SupervisorError(`another backup is under way; if one was killed, remove what it left: ${folder}`);
  }
}
