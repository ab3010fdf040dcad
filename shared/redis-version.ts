/** The oldest version that BullMQ's scripts run on, [major, minor]. */
export const OLDEST_REDIS = [6, 2] as const;

/** Whether a version such as `7.0.15` is recent enough. */
export function isRecentRedis(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > OLDEST_REDIS[0] || (major === OLDEST_REDIS[0] && minor >= OLDEST_REDIS[1]);
}
