/** Every route that this installation serves (`API_*` switches leave some out). */
import type { Logger } from '../../shared/logger.ts';
import type { Backend } from './backend.ts';
import type { Route } from './route.ts';
import { checkRoute } from './routes/check.ts';
import { createBatchRoute, createRoute } from './routes/create.ts';
import { docsRoutes, openApiRoute, redocRoutes } from './routes/docs.ts';
import { downloadRoute } from './routes/download.ts';
import { eventsRoutes } from './routes/events.ts';
import { healthRoute, readyRoute } from './routes/health.ts';
import { jobLogsRoute } from './routes/job-logs.ts';
import { revokeRoute } from './routes/revoke.ts';
import { runRoute } from './routes/run.ts';
import { statusInfoRoute } from './routes/status-info.ts';
import { uploadRoute } from './routes/upload.ts';
import { workersRoute } from './routes/workers.ts';

export function routesOf(backend: Backend, log: Logger): Route[] {
  const { serves } = backend.config.api;
  return [
    ...when(serves.run, () => [runRoute(backend)]),
    ...when(serves.create, () => [createRoute(backend), createBatchRoute(backend)]),
    ...when(serves.check, () => [checkRoute(backend), ...eventsRoutes(backend), jobLogsRoute(backend)]),
    ...when(serves.revoke, () => [revokeRoute(backend)]),
    ...when(serves.statusInfo, () => [statusInfoRoute(backend), workersRoute(backend)]),
    ...when(serves.upload, () => [uploadRoute(backend)]),
    ...when(serves.download, () => [downloadRoute(backend)]),
    healthRoute(),
    readyRoute(backend),
    openApiRoute(backend),
    ...when(serves.docs, docsRoutes),
    ...when(serves.redoc, () => redocRoutes(log)),
  ];
}

function when(served: boolean, routes: () => Route[]): Route[] {
  return served ? routes() : [];
}
