/** Which processes can work together: a number kept in Redis for as long as one of them lives. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectDir } from './config.ts';
import type { Redis } from './redis.ts';

/**
 * The protocol that this code speaks in Redis. Raise it by one when a process of the code before and one of the code after could
 * not work on the same keys: another meaning of a key, a field or a message, another order of a script's steps, a BullMQ
 * whose scripts differ in these. A new key or field that the others may overlook needs no new number.
 */
export const PROTOCOL = 1;

/** How long the number holds after the last process of it, in seconds: then another one may be set. */
const HELD_SECONDS = 60;

/** How often each process has to claim its number again, in milliseconds. */
export const CLAIM_MS = 20_000;

/** FastTask's own version, as its package.json says. */
export const PACKAGE_VERSION = versionOf(JSON.parse(readFileSync(join(projectDir, 'package.json'), 'utf8')));

function versionOf(manifest: unknown): string {
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest ? String(manifest.version) : 'unknown';
}

// KEYS protocol · ARGV own number, seconds
const CLAIM = `
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return held end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return ARGV[1]
`;

/**
 * Claims the installation for this protocol, or renews the claim.
 * @returns the installation's protocol: work with it only if it is PROTOCOL
 */
export async function claimProtocol(redis: Redis, prefix: string): Promise<number> {
  return Number(await redis.eval(CLAIM, 1, `${prefix}:protocol`, PROTOCOL, HELD_SECONDS));
}

/** What to tell who runs a process of another protocol than the installation's. */
export function protocolRefusal(process: 'worker' | 'API', installation: number): string {
  const relation = installation > PROTOCOL ? 'older' : 'newer';
  return (
    `this ${process} (FastTask ${PACKAGE_VERSION}) speaks protocol ${PROTOCOL}, the installation ${installation}: it is ${relation} than the ` +
    `others and takes no jobs. Run the same release everywhere; another protocol may begin when all processes of the old one have ended for ${HELD_SECONDS} s`
  );
}
