import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { apiClient, jobOf } from '../support/https.ts';
import { type Installation, makeInstallation } from '../support/installation.ts';

const PASSWORD = 'correct-horse-battery-staple-0815';

/** What a task of an inquisitive author can see of its surroundings without opening our files. */
const peek = `import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { defineTask, z } from 'fasttask';

export default defineTask({
  description: 'Looks around',
  params: z.object({}),
  result: z.object({ environment: z.string(), start: z.string(), parent: z.string(), own: z.string(), child: z.string() }),
  run: () => ({
    environment: JSON.stringify(process.env),
    start: readFileSync('/proc/self/environ', 'utf8'),
    parent: readFileSync(\`/proc/\${process.ppid}/environ\`, 'utf8'),
    own: String(process.env.OWN_VARIABLE),
    child: execFileSync('env', { encoding: 'utf8' }),
  }),
});
`;

let node: Installation;

beforeAll(async () => {
  node = await makeInstallation({ TASK_QUEUE_PASSWD: PASSWORD, OWN_VARIABLE: 'for the task' });
  writeFileSync(join(node.dir, 'tasks', 'peek.ts'), peek);
  writeFileSync(
    join(node.dir, 'tasks', 'peek_alone.ts'),
    peek.replace("description: 'Looks around'", "isolation: 'process', description: 'Looks around'"),
  );
  const { code, output } = await node.npm(['start']);
  expect(code, output).toBe(0);
  expect(output).not.toContain(PASSWORD);
});
afterAll(() => node?.remove());

test.each(['peek', 'peek_alone'])('%s finds no password of ours in its environment, and what the caller gave it', async (task) => {
  const { result, state } = jobOf(await apiClient(node.origin).post(`/run/${task}`, {}));
  expect(state, JSON.stringify(result)).toBe('SUCCESS');
  expect(JSON.stringify(result)).not.toContain(PASSWORD);
  expect(result).toMatchObject({ own: 'for the task' });
  expect(String((result as { start: string }).start)).toContain('PATH=');
});

test('no command line and no environment of a process shows it', async () => {
  const pids = (await node.list()).map(({ pid }) => pid).filter((pid) => pid > 0);
  expect(pids.length).toBeGreaterThanOrEqual(4);
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    for (const file of pids.includes(Number(pid)) ? ['cmdline', 'environ'] : ['cmdline']) {
      expect(readProc(pid, file), `${pid} ${file}`).not.toContain(PASSWORD);
    }
  }
});

test('no log, no listing and no file that others can read has it', async () => {
  const system = join(node.dir, 'files', 'fasttask');
  const { output } = await node.npm(['run', '--silent', 'pm2', '--', 'jlist']);
  expect(output).not.toContain(PASSWORD);
  const holding: string[] = [];
  for (const entry of readdirSync(system, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath, entry.name);
    if (readFileSync(file, 'latin1').includes(PASSWORD)) holding.push(`${entry.name} ${(statSync(file).mode & 0o777).toString(8)}`);
  }
  expect(holding.sort()).toEqual(['redis.conf 600', 'secrets.json 600']);
});

function readProc(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch {
    return '';
  }
}
