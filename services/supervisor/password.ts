/** A password from whoever typed the command: unseen on a terminal, else the first line of the standard input. */
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { SupervisorError } from './pm2.ts';

/** The password, empty when none was given. @throws SupervisorError when it was interrupted, or typed differently the second time */
export async function readPassword(name: string): Promise<string> {
  if (!process.stdin.isTTY) return (await line({ input: process.stdin })) ?? '';
  const password = await unseen(`password of ${name} (empty: one is made): `);
  if (password !== '' && (await unseen('the same again: ')) !== password)
    throw new SupervisorError('the two passwords differ: nothing was changed');
  return password;
}

async function unseen(question: string): Promise<string> {
  process.stderr.write(question);
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const answer = await line({ input: process.stdin, output: nowhere, terminal: true });
  process.stderr.write('\n');
  if (answer === undefined) throw new SupervisorError('interrupted: nothing was changed');
  return answer;
}

/** The next line, or undefined when the input ends (or Ctrl-C comes) before it. */
function line(options: Parameters<typeof createInterface>[0]): Promise<string | undefined> {
  return new Promise((resolve) => {
    const lines = createInterface(options);
    lines.once('line', (text: string) => {
      resolve(text);
      lines.close();
    });
    lines.once('SIGINT', () => lines.close());
    lines.once('close', () => resolve(undefined));
  });
}
