// The walls of the project: who may import what. `npm run walls` checks them; test/unit/walls.test.ts shows that each one holds.

/** One module (or folder) faces each library, so that the rest of the code need not know its name. */
const faces = {
  bullmq: ['^shared/jobs[^/]*\\.ts$', '^services/consumer/'],
  piscina: ['^services/consumer/thread-pool\\.ts$'],
  esbuild: ['^services/consumer/', '^services/supervisor/bundles\\.mjs$'],
  envalid: ['^shared/config[^/]*\\.ts$'],
  ioredis: ['^shared/redis\\.ts$'],
  pino: ['^shared/logger\\.ts$'],
  zod: ['^shared/fasttask\\.ts$'],
  ajv: ['^services/api/', '^shared/json-schema\\.ts$'],
  koa: ['^services/api/'],
  '@koa/router': ['^services/api/'],
  'koa-body': ['^services/api/'],
  formidable: ['^services/api/'],
  send: ['^services/api/'],
  'koa2-swagger-ui': ['^services/api/'],
  selfsigned: ['^shared/certificate\\.ts$'],
  'rate-limiter-flexible': ['^services/api/'],
  helmet: ['^services/api/'],
  '@koa/cors': ['^services/api/'],
};

const product = '^(services|shared|tasks)/';

/** A package, and its types. Subpaths (`ajv/dist/2020.js`) are the package too. */
const packagePath = (name) => `^node_modules/(@types/)?${name}/`;

module.exports = {
  forbidden: [
    ...Object.entries(faces).map(([name, files]) => ({
      name: `only-${name.replace('@', '').replace('/', '-')}-face`,
      comment: `${name} is imported only by ${files.join(' and ')}`,
      severity: 'error',
      from: { path: product, pathNot: files },
      to: { path: packagePath(name) },
    })),
    {
      name: 'pm2-is-a-program',
      comment: 'PM2 is AGPL: it is run as a program of its own and never imported.',
      severity: 'error',
      from: {},
      to: { path: packagePath('pm2') },
    },
    {
      name: 'services-apart',
      comment: 'Services share code through shared/ only.',
      severity: 'error',
      from: { path: '^services/([^/]+)/', pathNot: '^services/supervisor/' },
      to: { path: '^services/', pathNot: '^services/$1/' },
    },
    {
      name: 'supervisor-apart',
      comment:
        'The supervisor alone knows services/redis: finding, unpacking and configuring the server is a step of its start, ' +
        'and the server that runs then is no code of ours.',
      severity: 'error',
      from: { path: '^services/supervisor/' },
      to: { path: '^services/', pathNot: '^services/(supervisor|redis)/' },
    },
    {
      name: 'shared-below-services',
      comment: 'shared/ does not know who uses it.',
      severity: 'error',
      from: { path: '^shared/' },
      to: { path: '^(services|tasks)/' },
    },
    {
      name: 'tasks-see-fasttask-only',
      comment: 'A task file imports fasttask, its helpers in tasks/packages and what Node brings, as the task files of users do.',
      severity: 'error',
      from: { path: '^tasks/' },
      to: { pathNot: ['^shared/fasttask\\.ts$', '^tasks/packages/'], dependencyTypesNot: ['core'] },
    },
    {
      name: 'tasks-run-in-threads',
      comment: 'Task files are loaded by path, in consumer threads; no other code imports one.',
      severity: 'error',
      from: { path: '^(services|shared)/' },
      to: { path: '^tasks/' },
    },
    {
      name: 'no-test-code',
      comment: 'The product does not depend on its tests.',
      severity: 'error',
      from: { path: product },
      to: { path: '^test/' },
    },
    {
      name: 'no-dev-dependency',
      comment: 'What the product imports must be there after an installation without development dependencies.',
      severity: 'error',
      // The build has them, as it has the compiler.
      from: { path: product, pathNot: '^services/supervisor/bundles\\.mjs$' },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'], pathNot: '^node_modules/@types/' },
    },
    { name: 'no-cycle', comment: 'Modules that need each other are one module.', severity: 'error', from: {}, to: { circular: true } },
    { name: 'resolvable', comment: 'Every import leads somewhere.', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: '^node_modules/' },
    exclude: { path: '^dist/' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'require', 'node', 'default', 'types'] },
  },
};
