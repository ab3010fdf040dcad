/** What can be said of the image, the compositions and the scripts without an engine; test/deploy/run.sh runs them on one. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DockerfileParser } from 'dockerfile-ast';
import { validate } from 'dockerfile-utils';
import { afterAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { loadConfig, projectDir } from '../../shared/config.ts';
import { rules } from '../../shared/config-variables.ts';
import { removeTempDirs, tempDir } from '../support/temp.ts';

afterAll(removeTempDirs);

const read = (file: string) => readFileSync(join(projectDir, file), 'utf8');

describe('the image', () => {
  const text = read('deploy/Dockerfile');
  const faults = (dockerfile: string) => validate(dockerfile).map(({ message }) => message);
  const stages = text.split(/^(?=FROM )/m);
  const instructions = (of: string) =>
    DockerfileParser.parse(of)
      .getInstructions()
      .map((one) => ({
        name: one.getInstruction(),
        text: one.getArgumentsContent() ?? '',
        arguments: one.getArguments().map((argument) => argument.getValue()),
      }));
  const last = instructions(stages.at(-1) ?? '');
  const argumentsOf = (name: string) => last.filter((one) => one.name === name).map((one) => one.arguments);

  test('has a Dockerfile without faults, and one with a fault is noticed', () => {
    expect(faults(text)).toEqual([]);
    expect(faults(text.replace('USER node', 'USR node'))).toEqual([expect.stringContaining('USR')]);
    expect(faults(text.replace('CMD ["start"]', 'CMD ["start"]\nCMD ["start"]'))).not.toEqual([]);
    // It would ask a registry for a parser before anything else.
    expect(text).not.toMatch(/^# *syntax=/m);
  });

  test('runs as a user without rights, under an init, with a health check', () => {
    const user = last.findIndex(({ name }) => name === 'USER');
    expect(last[user]?.arguments).toEqual(['node']);
    expect(last.slice(user).map(({ name }) => name)).not.toContain('RUN');
    expect(last.find(({ name }) => name === 'ENTRYPOINT')?.text).toBe('["tini", "--", "fasttask"]');
    expect(last.find(({ name }) => name === 'HEALTHCHECK')?.text).toMatch(/\["fasttask", "healthy"\]$/);
    expect(argumentsOf('STOPSIGNAL')).toEqual([['SIGTERM']]);
  });

  test('has variables that are a configuration, the folders that it names, and decides nothing about who may call', () => {
    const variables = Object.fromEntries(
      (argumentsOf('ENV')[0] ?? []).map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
    );
    // A worker would be warned of an API_HOST, and one set here would win over what the start command decides.
    for (const name of ['API_HOST', 'API_ALLOW_ANONYMOUS', 'TASK_QUEUE_PASSWD']) expect(variables).not.toHaveProperty(name);
    expect(argumentsOf('VOLUME')).toEqual([[variables['FILES_DIR']]]);
    expect(argumentsOf('WORKDIR')).toEqual([[variables['FASTTASK_DIR']]]);
    const { notices, api, redis } = loadConfig({ ...variables, FASTTASK_DIR: projectDir, FILES_DIR: tempDir('files') });
    expect(notices).toEqual([]);
    expect(argumentsOf('EXPOSE')).toEqual([[String(api.port), String(redis.port)]]);
  });

  test('is made of what .dockerignore lets in, and that is nothing else', () => {
    const [everything, ...allowed] = read('.dockerignore')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
    expect(everything).toBe('*');
    const copied = stages
      .flatMap(instructions)
      .filter((one) => one.name === 'COPY')
      .flatMap((one) => one.arguments.slice(0, -1))
      // Those of another stage are absolute.
      .filter((path) => !path.startsWith('/'))
      .map((path) => (path.startsWith('deploy/container/') ? 'deploy/container' : path));
    expect(allowed.map((line) => line.slice(1)).sort()).toEqual([...new Set(copied)].sort());
    for (const line of allowed) expect([line, existsSync(join(projectDir, line.slice(1)))]).toEqual([line, true]);
    for (const kept of ['files', '.git', 'test', 'node_modules', 'dist', '.tmp']) expect(allowed).not.toContain(`!${kept}`);
  });
});

describe('the compositions', () => {
  const service = z.object({
    image: z.string(),
    restart: z.literal('unless-stopped'),
    stop_grace_period: z.string().regex(/^\d+s$/),
    environment: z.record(z.string(), z.string()),
    ports: z.array(z.string()).default([]),
    volumes: z.array(z.string()),
    logging: z.object({ driver: z.literal('json-file'), options: z.object({ 'max-size': z.string(), 'max-file': z.string() }) }),
    build: z.object({ context: z.string(), dockerfile: z.string() }).optional(),
  });
  // Strict: 1.29 refuses `name`, and `version` means nothing to later ones.
  const composition = z
    .strictObject({
      services: z.record(z.string(), service.strict()),
      volumes: z.record(z.string(), z.null()),
      'x-node': z.unknown(),
      'x-worker': z.unknown(),
    })
    .partial({ 'x-node': true, 'x-worker': true });
  const files = ['compose.single-node.yaml', 'compose.distributed.yaml'] as const;
  const servicesOf = (file: (typeof files)[number]) => composition.parse(parse(read(`deploy/${file}`), { merge: true }));

  /** As compose puts variables in: `${NAME:-default}`, and `${NAME:?why}`, which has none. */
  const filled = (text: string, given: Record<string, string> = {}) =>
    text.replace(/\$\{(\w+):([-?])([^}]*)\}/g, (_all, name: string, kind: string, rest: string) => {
      const value = given[name] || (kind === '-' ? rest : undefined);
      if (value === undefined) throw new Error(`${name}: ${rest}`);
      return value;
    });

  const configOf = (environment: Record<string, string>, given: Record<string, string> = {}) =>
    loadConfig({
      FILES_DIR: tempDir('files'),
      ...Object.fromEntries(Object.entries(environment).map(([name, text]) => [name, filled(text, given)])),
    });

  test.each(files)('%s keeps data in volumes, and stops later than its jobs may drain', (file) => {
    const { services, volumes } = servicesOf(file);
    for (const [name, { stop_grace_period, volumes: own, image, build }] of Object.entries(services)) {
      expect([name, Number.parseInt(stop_grace_period, 10)]).toEqual([
        name,
        expect.toSatisfy((seconds: number) => seconds > Number(rules.DRAIN_TIMEOUT.default) + 5),
      ]);
      expect([name, own.map((mount) => mount.split(':').at(-1))]).toEqual([name, ['/fasttask/files']]);
      expect(filled(image)).toBe('fasttask');
      if (build !== undefined) expect(existsSync(join(projectDir, 'deploy', build.context, build.dockerfile))).toBe(true);
    }
    const named = Object.values(services).flatMap(({ volumes: own }) =>
      own.filter((mount) => mount.includes(':')).map((mount) => mount.split(':')[0]),
    );
    expect(named).toEqual(Object.keys(volumes));
    // Of the services that build the image there is one.
    expect(Object.values(services).filter(({ build }) => build !== undefined)).toHaveLength(1);
  });

  test('a single node publishes HTTPS and never its queue, and lets nobody in by itself', () => {
    const { services } = servicesOf('compose.single-node.yaml');
    const [node] = Object.values(services);
    expect(Object.keys(services)).toEqual(['fasttask']);
    expect(node?.ports.map((port) => filled(port))).toEqual(['9001:9001']);
    const config = configOf(node?.environment ?? {});
    expect(config).toMatchObject({ nodeType: 'single_node', api: { allowAnonymous: false }, redis: { listenHost: '127.0.0.1' } });
    expect(config.notices).toEqual([]);
  });

  test('a master with workers publishes 9001 and 9000, and has no default for the password of what leaves the host', () => {
    const { services } = servicesOf('compose.distributed.yaml');
    const { master, ...workers } = services;
    expect(master?.ports.map((port) => filled(port))).toEqual(['9001:9001', '9000:6379']);
    const given = { TASK_QUEUE_PASSWD: 'a long password of their own' };
    for (const [name, { environment }] of Object.entries(services)) {
      expect(() => configOf(environment), name).toThrow(/^TASK_QUEUE_PASSWD: set it/);
      expect([name, configOf(environment, given).notices]).toEqual([name, []]);
    }
    expect(configOf(master?.environment ?? {}, given)).toMatchObject({ nodeType: 'distributed_master', api: { allowAnonymous: false } });
    const enabled = Object.values(workers).map(({ environment, ports }) => {
      const { nodeType, redis, consumer } = configOf(environment, given);
      // The name of the service is its address in their network, and the port is the one inside.
      expect([nodeType, redis.host, redis.port, ports]).toEqual(['distributed_worker', 'master', 6379, []]);
      return consumer.enabledTasks;
    });
    expect(enabled).toEqual([['get_circle_area'], ['get_hypotenuse']]);
  });
});

const shellcheck = spawnSync('shellcheck', ['--version']).status === 0;
if (!shellcheck) process.stdout.write('shellcheck is not installed: the scripts are not checked\n');

test.skipIf(!shellcheck)(
  'shellcheck finds no fault in the scripts, and would',
  () => {
    const check = (args: readonly string[], input = '') => spawnSync('shellcheck', args, { cwd: projectDir, encoding: 'utf8', input });
    const scripts = readdirSync(join(projectDir, 'test/deploy'))
      .filter((name) => name.endsWith('.sh'))
      .map((name) => `test/deploy/${name}`);
    expect(scripts).not.toEqual([]);
    expect(check(['deploy/container/fasttask', ...scripts])).toMatchObject({ status: 0, stdout: '' });
    expect(check(['-'], read('deploy/container/fasttask').replace('wait "$runtime"', 'wait $runtime')).status).toBe(1);
  },
  60_000,
);
