/**
 * The apps of this node, for `pm2 start ecosystem.config.cjs`. NODE_TYPE says which: single_node, distributed_master or
 * distributed_worker. `npm start` does the same and more: it installs, builds, unpacks Redis and waits for the answer.
 */
const { spawnSync } = require('node:child_process');
const { existsSync } = require('node:fs');
const { join } = require('node:path');

const script = join(__dirname, 'dist/services/supervisor/ecosystem.js');

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

if (!process.env.NODE_TYPE) fail('NODE_TYPE is not set: expected single_node, distributed_master or distributed_worker');
if (!existsSync(script)) fail('FastTask is not built: run `npm ci && npm run build` first, or `npm start`, which does it');

const run = spawnSync(process.execPath, [script], {
  input: JSON.stringify(process.env),
  encoding: 'utf8',
  stdio: ['pipe', 'pipe', 'inherit'],
});
if (run.status !== 0) fail('nothing was started');

const { apps, secrets } = JSON.parse(run.stdout);

// PM2 adds the environment of its caller to every app that it restarts; the secrets have a file of their own.
for (const name of secrets) delete process.env[name];

module.exports = { apps };
