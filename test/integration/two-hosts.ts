/** A master and a worker with nothing in common but the network: two FILES_DIRs, and a link that a test can cut. */
import { createCipheriv, createHash } from 'node:crypto';
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { Agent, request } from 'undici';
import { projectDir } from '../../shared/config.ts';
import { type Link, startLink } from '../support/link.ts';
import { startService, type TestProcess } from '../support/processes.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';
import { type ApiNode, startApiNode } from './api-node.ts';

const FIXTURES = 'test/fixtures/tasks';
const TASK_FILES = [
  'tasks/count_file_words.ts',
  `${FIXTURES}/copies_file.ts`,
  `${FIXTURES}/copies_file_isolated.ts`,
  `${FIXTURES}/packages/copy.ts`,
  `${FIXTURES}/reopens_file.ts`,
];

const CHUNK_BYTES = 256 * 1024;

export interface TwoHosts {
  readonly master: ApiNode;
  readonly worker: TestProcess;
  readonly workerEnv: Readonly<Record<string, string>>;
  /** The worker's FILES_DIR. */
  readonly workerFiles: string;
  /** Between the worker and the master's API. */
  readonly link: Link;
  /** Another worker, with folders of its own where `env` names them. */
  anotherWorker(env: Record<string, string>): Promise<TestProcess>;
  /** Uploads bytes of which no two parts are alike. `auth`: an Authorization header. */
  upload(size: number, options?: { fileName?: string; auth?: string }): Promise<{ name: string; sha256: string }>;
  download(name: string, auth?: string): Promise<{ status: number; size: number; sha256: string }>;
  stop(): Promise<void>;
}

export interface HostsWish {
  master?: Record<string, string>;
  worker?: Record<string, string>;
}

/** Starts both; the API answers and knows the worker's tasks when this returns. */
export async function startTwoHosts({ master: masterEnv = {}, worker: own = {} }: HostsWish = {}): Promise<TwoHosts> {
  const master = await startApiNode({ NODE_TYPE: 'distributed_master', SOFT_TIME_LIMIT: '80', TIME_LIMIT: '85', ...masterEnv });
  const link = await startLink(master.port);
  const agent = new Agent({ connect: { rejectUnauthorized: false } });
  const workers: TestProcess[] = [];
  const workerFiles = own['FILES_DIR'] ?? tempDir('worker');
  const tasks = tempDir('tasks');
  mkdirSync(join(tasks, 'packages'));
  for (const file of TASK_FILES) cpSync(join(projectDir, file), join(tasks, file.replace(/^.*tasks\//, '')));
  const workerEnv = {
    ...master.env,
    NODE_TYPE: 'distributed_worker',
    FILES_DIR: workerFiles,
    TASKS_DIR: tasks,
    WORKER_CONCURRENCY: '4',
    MASTER_API_URL: `https://127.0.0.1:${link.port}`,
    ...own,
  };
  const startWorker = async (env: Record<string, string>) => {
    const worker = await startService('consumer', { ...workerEnv, ...env });
    workers.push(worker);
    await worker.waitForEvent('consumer.started', { timeoutMs: 45_000 });
    return worker;
  };
  const stop = async () => {
    await Promise.all(workers.map((worker) => (worker.alive ? worker.kill9() : worker.exited)));
    await agent.destroy();
    await link.stop();
    await master.stop();
  };
  const origin = `https://127.0.0.1:${master.port}`;
  const authorization = (auth?: string) => (auth === undefined ? {} : { authorization: auth });
  try {
    const worker = await startWorker({});
    for (const task of ['copies_file', 'copies_file_isolated', 'count_file_words'])
      await until(async () => (await master.api.get(`/create/${task}`)).status === 405, { what: `the task ${task} to be known` });
    return {
      master,
      worker,
      workerEnv,
      workerFiles,
      link,
      anotherWorker: startWorker,
      async upload(size, { fileName = 'in.bin', auth } = {}) {
        const hash = createHash('sha256');
        const body = Readable.from(multipart(fileName, noise(size, hash)));
        const headers = {
          'content-type': `multipart/form-data; boundary=${BOUNDARY}`,
          'content-length': String(size + frameBytes(fileName)),
          ...authorization(auth),
        };
        const answer = await request(`${origin}/upload`, { method: 'POST', dispatcher: agent, body, headers });
        const text = await answer.body.text();
        if (answer.statusCode !== 200) throw new Error(`expected the upload to be taken, got ${answer.statusCode} ${text}`);
        return { name: (JSON.parse(text) as { file_name: string }).file_name, sha256: hash.digest('hex') };
      },
      async download(name, auth) {
        const { statusCode: status, body } = await request(`${origin}/download?file_name=${encodeURIComponent(name)}`, {
          dispatcher: agent,
          headers: authorization(auth),
        });
        const hash = createHash('sha256');
        let size = 0;
        for await (const chunk of body as AsyncIterable<Buffer>) {
          size += chunk.length;
          hash.update(chunk);
        }
        return { status, size, sha256: hash.digest('hex') };
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

const BOUNDARY = 'fasttask-two-hosts';
const opening = (fileName: string) =>
  `--${BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="${fileName}"\r\ncontent-type: application/octet-stream\r\n\r\n`;
const closing = `\r\n--${BOUNDARY}--\r\n`;

function frameBytes(fileName: string): number {
  return Buffer.byteLength(opening(fileName)) + Buffer.byteLength(closing);
}

async function* multipart(fileName: string, content: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  yield Buffer.from(opening(fileName));
  yield* content;
  yield Buffer.from(closing);
}

/** A key stream: bytes that are joined at a wrong place have another digest. */
async function* noise(size: number, hash: ReturnType<typeof createHash>): AsyncGenerator<Buffer> {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, 'key'), Buffer.alloc(16));
  const zeros = Buffer.alloc(CHUNK_BYTES);
  for (let left = size; left > 0; left -= CHUNK_BYTES) {
    const chunk = cipher.update(left < CHUNK_BYTES ? zeros.subarray(0, left) : zeros);
    hash.update(chunk);
    yield chunk;
  }
}
