import { closeClients } from './https.ts';
import { living } from './processes.ts';
import { removeTempDirs } from './temp.ts';

/** Runs a program that starts processes: whatever it has started ends with it, also when it fails or is told to stop. */
export async function runProgram(main: () => Promise<void>): Promise<void> {
  const cleanUp = async () => {
    await closeClients();
    for (const left of living()) await left.kill9();
    removeTempDirs();
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void cleanUp().finally(() => process.exit(1)));
  try {
    await main();
  } finally {
    await cleanUp();
  }
}
