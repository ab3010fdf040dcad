/** One sweep over the files folder, then the end: PM2 starts it again by the clock. */
import { ensureCertificate } from '../../shared/certificate.ts';
import { loadConfig } from '../../shared/config.ts';
import { ConfigError, messageOf } from '../../shared/errors.ts';
import { FileNameError } from '../../shared/file-name.ts';
import { FileStore } from '../../shared/files.ts';
import { createLogger } from '../../shared/logger.ts';
import { removeExpired } from './expired-files.ts';
import { tidySystemFiles } from './system-files.ts';

try {
  const { api, dirs, files, logLevel, runs, tls } = loadConfig();
  const log = createLogger(logLevel, { service: 'janitor' });
  // The API takes up a new certificate by itself.
  if (runs.api && tls.enabled && !tls.ownCertificate) {
    const renewed = await ensureCertificate({ keyFile: tls.keyFile, certFile: tls.certFile, apiHost: api.host });
    if (renewed) log.info({ certFile: tls.certFile }, 'certificate.renewed');
  }
  if (files.cleanup) {
    const store = new FileStore(dirs.files);
    const onError = (path: string, error: unknown) => log.warn({ path, reason: messageOf(error) }, 'janitor.file_kept');
    const swept = await removeExpired({
      dir: dirs.files,
      except: dirs.system,
      before: Date.now() - files.expirationSeconds * 1000,
      isInUse: (path) => isInUse(store, path),
      onError,
    });
    const tidied = await tidySystemFiles(store, onError);
    log.info({ ...swept, ...tidied }, 'janitor.finished');
  } else {
    log.info({ reason: 'FILE_CLEANUP_ENABLED is False' }, 'janitor.skipped');
  }
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}

/** A name that no job can ask for is in nobody's use. */
async function isInUse(store: FileStore, path: string): Promise<boolean> {
  try {
    return await store.isLeased(path);
  } catch (error) {
    if (error instanceof FileNameError) return false;
    throw error;
  }
}
