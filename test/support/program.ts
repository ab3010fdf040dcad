import { closeClients } from './https.ts';
import { living } from './processes.ts';
import { removeTempDirs } from './temp.ts';

const endings = new Set<() => Promise<void>>();

/**
 * Has something ended with the program that outlives its processes, such as an installation under PM2. It must be safe to end twice.
 * @returns a function that ends it now
 */
export function endWithProgram(end: () => Promise<void>): () => Promise<void> {
  endings.add(end);
  return async () => {
    await end();
    endings.delete(end);
  };
}

/** Runs a program that starts processes: whatever it has started ends with it, also when it fails or is told to stop. */
export async function runProgram(main: () => Promise<void>): Promise<void> {
  const cleanUp = async () => {
    for (const end of endings) await end();
    await closeClients();
    for (const left of living()) await left.kill9();
    removeTempDirs();
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      process.stderr.write(`\nended by ${signal}\n`);
      void cleanUp().finally(() => process.exit(1));
    });
  }
  try {
    await main();
  } finally {
    await cleanUp();
  }
}
