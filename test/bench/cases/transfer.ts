/** Uploads and downloads beside plain node:https streaming. */
import { Agent, type RequestOptions, request } from 'node:https';
import { join } from 'node:path';
import { projectDir } from '../../../shared/config.ts';
import { type ApiNode, startApiNode } from '../../integration/api-node.ts';
import { startProcess } from '../../support/processes.ts';
import { tempDir } from '../../support/temp.ts';
import type { Group } from '../case.ts';
import { inTurn } from '../measure.ts';
import type { Row } from '../table.ts';

const MEGABYTE = 1e6;
const CHUNK = Buffer.alloc(256 * 1024, 'FastTask ');
const BOUNDARY = 'fasttask-bench';

export const transfer: Group = {
  cases: { transfer: 'POST /upload and GET /download of one large file, beside plain node:https that streams' },
  async measure({ rounds, options: { megabytes } }) {
    const node = await startApiNode();
    const agent = new Agent({ keepAlive: true, rejectUnauthorized: false });
    const length = Math.round((megabytes * MEGABYTE) / CHUNK.length) * CHUNK.length;
    const perSecond = (work: () => Promise<unknown>) => async () => {
      const began = performance.now();
      await work();
      return length / MEGABYTE / ((performance.now() - began) / 1000);
    };
    try {
      let name = '';
      const own = { port: node.port, agent };
      const bare = { port: await startFloor(node), agent };
      const upload = await inTurn(rounds, {
        ours: perSecond(async () => {
          name = (JSON.parse(await post({ ...own, path: '/upload' }, length, true)) as { file_name: string }).file_name;
        }),
        bare: perSecond(() => post({ ...bare, path: '/' }, length, false)),
      });
      const download = await inTurn(rounds, {
        ours: perSecond(() => get({ ...own, path: `/download?file_name=${encodeURIComponent(name)}` }, length)),
        bare: perSecond(() => get({ ...bare, path: '/' }, length)),
      });
      const row = (what: string, { ours, bare: values }: typeof upload): Row => ({
        case: 'transfer',
        what: `${what} of ${megabytes} MB`,
        unit: 'MB/s',
        ours,
        floor: { what: 'plain node:https', values },
        bar: { of: 'ratio', at: 'least', value: 0.7 },
      });
      return [row('upload', upload), row('download', download)];
    } finally {
      agent.destroy();
      await node.stop();
    }
  },
};

async function startFloor({ files }: ApiNode): Promise<number> {
  const ssl = join(files, 'fasttask', 'ssl_cert');
  const program = join(projectDir, 'test', 'bench', 'floors', 'https-files.mjs');
  const floor = await startProcess(process.execPath, [program, join(ssl, 'key.pem'), join(ssl, 'cert.pem'), tempDir('floor')], {
    name: 'floor',
  });
  await floor.waitForOutput(/^\d+$/);
  return Number(floor.output.find((line) => /^\d+$/.test(line)));
}

/** Sends a body of `length` bytes, as the part `file` of a form where that is asked for. @returns the answer */
function post(options: RequestOptions, length: number, form: boolean): Promise<string> {
  const head = form ? `--${BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="bench.bin"\r\n\r\n` : '';
  const tail = form ? `\r\n--${BOUNDARY}--\r\n` : '';
  const headers = {
    'content-length': head.length + length + tail.length,
    'content-type': form ? `multipart/form-data; boundary=${BOUNDARY}` : 'application/octet-stream',
  };
  return new Promise((resolve, reject) => {
    const sending = request({ ...options, host: '127.0.0.1', method: 'POST', headers }, (response) => {
      const chunks: Buffer[] = [];
      response
        .on('data', (chunk: Buffer) => chunks.push(chunk))
        .on('end', () => {
          const text = Buffer.concat(chunks).toString();
          if (response.statusCode === 200) resolve(text);
          else reject(new Error(`expected 200, got ${response.statusCode}: ${text}`));
        });
    });
    sending.once('error', reject);
    let left = length;
    const pump = () => {
      while (left > 0) {
        left -= CHUNK.length;
        if (!sending.write(CHUNK)) return void sending.once('drain', pump);
      }
      sending.end(tail);
    };
    if (head !== '') sending.write(head);
    pump();
  });
}

/** Reads an answer of `length` bytes and throws it away. */
function get(options: RequestOptions, length: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const asking = request({ ...options, host: '127.0.0.1' }, (response) => {
      let read = 0;
      response
        .on('data', (chunk: Buffer) => {
          read += chunk.length;
        })
        .on('end', () =>
          read === length ? resolve() : reject(new Error(`expected ${length} bytes, got ${read} (${response.statusCode})`)),
        );
    });
    asking.once('error', reject).end();
  });
}
