// The floor of uploads and downloads: plain node:https that streams a body into a file and a file into an answer, and nothing else.
// Arguments: key file, certificate file, folder. Prints its port.
import { createReadStream, createWriteStream, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:https';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

const [keyFile, certFile, folder] = process.argv.slice(2);

const server = createServer(
  { key: readFileSync(keyFile), cert: readFileSync(certFile), minVersion: 'TLSv1.2' },
  async (request, response) => {
    const file = join(folder, 'floor.bin');
    try {
      if (request.method === 'POST') {
        await pipeline(request, createWriteStream(file));
        response.end('{}');
      } else {
        response.setHeader('content-length', statSync(file).size);
        await pipeline(createReadStream(file), response);
      }
    } catch {
      response.destroy();
    }
  },
);
server.listen(0, '127.0.0.1', () => process.stdout.write(`${server.address().port}\n`));
