import { spawn } from 'node:child_process';
import { watch } from 'node:fs';
import { join } from 'node:path';
import { projectDir } from '../../shared/config.ts';
import type { Installation } from './installation.ts';
import { reload } from './reload.ts';
import { start } from './start.ts';
import { stop } from './stop.ts';

/** Milliseconds of quiet after a change before it is applied: editors write a file several times. */
const QUIET_MS = 200;

/** Starts everything, shows the logs, applies every change of a source or task file, and stops everything at Ctrl-C. */
export async function dev(node: Installation): Promise<void> {
  const { config, pm2, say, signal } = node;
  await start(node);
  const logs = pm2.attach(['logs', '--raw', '--lines', '0']);
  const changes = new Changes((build) => applyChange(node, build));
  const watchers = [
    ...['services', 'shared'].map((name) => watch(join(projectDir, name), { recursive: true }, () => changes.note(true))),
    watch(config.dirs.tasks, { recursive: true }, () => changes.note(false)),
  ];
  say('watching services, shared and tasks; Ctrl-C stops everything');
  await Promise.race([logs, new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))]);
  for (const watcher of watchers) watcher.close();
  await changes.stop();
  await stop(node);
}

async function applyChange(node: Installation, build: boolean): Promise<void> {
  if (build && !(await built())) return node.say('not reloaded: the build has faults');
  await reload(node).catch((error: unknown) => node.say(String(error)));
}

function built(): Promise<boolean> {
  const compiler = spawn(process.execPath, [join(projectDir, 'services/supervisor/bootstrap.mjs'), 'build'], { stdio: 'inherit' });
  return new Promise((resolve) => compiler.once('close', (code) => resolve(code === 0)));
}

/** Collects changes until it is quiet and applies them one after another, never two at once. */
class Changes {
  readonly #apply: (build: boolean) => Promise<void>;
  #timer: NodeJS.Timeout | undefined;
  #build = false;
  #last: Promise<void> = Promise.resolve();

  constructor(apply: (build: boolean) => Promise<void>) {
    this.#apply = apply;
  }

  note(build: boolean): void {
    this.#build ||= build;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const needsBuild = this.#build;
      this.#build = false;
      this.#last = this.#last.then(() => this.#apply(needsBuild));
    }, QUIET_MS);
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#last;
  }
}
