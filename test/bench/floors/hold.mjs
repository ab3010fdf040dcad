// Opens many TLS connections, sends one request on each, or none, and holds them. Arguments: port, file with the requests as a JSON list of texts
// (an empty text sends nothing). Prints {} when all are open and all requests are sent; ends when an answer comes that says anything but 200.
import { readFileSync } from 'node:fs';
import { connect } from 'node:tls';

const [port, file] = process.argv.slice(2);
const requests = JSON.parse(readFileSync(file, 'utf8'));

/** Handshakes at once. */
const LANES = 50;

function fail(reason) {
  process.stderr.write(`${reason}\n`);
  process.exit(1);
}

function open(request) {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port: Number(port), rejectUnauthorized: false }, () =>
      request === '' ? resolve() : socket.write(request, () => resolve()),
    );
    socket.on('error', (error) => fail(String(error)));
    socket.on('close', () => fail('a connection was closed'));
    socket.once('data', (bytes) => {
      const answer = bytes.toString();
      if (!answer.startsWith('HTTP/1.1 200')) fail(`expected 200, got ${answer}`);
    });
  });
}

async function lane() {
  for (let request = requests.pop(); request !== undefined; request = requests.pop()) await open(request);
}

await Promise.all(Array.from({ length: LANES }, lane));
process.stdout.write('{}\n');
