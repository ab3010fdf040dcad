// Preloaded into the process that is to be profiled (NODE_OPTIONS --import). SIGUSR2 starts a CPU profile of its main thread, and the next one
// ends it and writes it to the file in BENCH_PROFILE. Says so on standard output, as an event of the log.
import { writeFileSync } from 'node:fs';
import { Session } from 'node:inspector';
import { isMainThread } from 'node:worker_threads';

/** Microseconds between two samples. */
const INTERVAL = 500;

let session;

function toggle() {
  if (session === undefined) {
    session = new Session();
    session.connect();
    session.post('Profiler.enable');
    session.post('Profiler.setSamplingInterval', { interval: INTERVAL });
    session.post('Profiler.start', () => tell('profile.started'));
    return;
  }
  session.post('Profiler.stop', (error, { profile } = {}) => {
    if (error === null) writeFileSync(process.env.BENCH_PROFILE, JSON.stringify(profile));
    tell(error === null ? 'profile.written' : 'profile.failed');
  });
}

const tell = (event) => process.stdout.write(`${JSON.stringify({ level: 'info', event })}\n`);

if (isMainThread) process.on('SIGUSR2', toggle);
