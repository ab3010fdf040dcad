import type { Middleware } from 'koa';
import helmet from 'koa-helmet';
import type { RequestState } from './route.ts';

/**
 * Headers that tell browsers to make nothing of an answer but data. The documentation pages replace the policy by their own. Left out are
 * those for pages that we do not serve, and HSTS: it would bind every port of the host to a certificate that this server may have made itself.
 */
export function securityHeaders(): Middleware<RequestState> {
  return helmet({
    contentSecurityPolicy: { useDefaults: false, directives: { 'default-src': ["'none'"], 'frame-ancestors': ["'none'"] } },
    crossOriginResourcePolicy: { policy: 'same-origin' },
    referrerPolicy: { policy: 'no-referrer' },
    xFrameOptions: { action: 'deny' },
    crossOriginOpenerPolicy: false,
    originAgentCluster: false,
    strictTransportSecurity: false,
    xDnsPrefetchControl: false,
    xDownloadOptions: false,
    xPermittedCrossDomainPolicies: false,
    xXssProtection: false,
  });
}
