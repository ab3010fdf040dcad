/** Whether an API process may serve jobs of its installation: it learns the running id, and keeps to one protocol and one id. */
import type { Config } from '../../shared/config.ts';
import { messageOf } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import { CLAIM_MS, claimProtocol, PROTOCOL, protocolRefusal } from '../../shared/protocol.ts';
import type { Redis } from '../../shared/redis.ts';
import { checkRedisServer, UnsuitableRedisError } from '../../shared/redis-server-check.ts';
import { obtainRunningId, storedRunningId } from '../../shared/running-id.ts';

/** How long until it is asked again after a failure or a refusal, in milliseconds. */
const RETRY_MS = 1000;
const REFUSED_MS = 10_000;

export interface MembershipOptions {
  redis: Redis;
  config: Config;
  log: Logger;
  /** Called with the running id at first and when it has changed; with undefined when this process may serve no jobs (any more). */
  onRunningId: (runningId: string | undefined) => void;
}

export class Membership {
  readonly #options: MembershipOptions;
  #checked = false;
  #runningId: string | undefined;
  #refusal: string | undefined;
  #otherId: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: MembershipOptions) {
    this.#options = options;
  }

  /** Why this process serves no jobs: it speaks another protocol. */
  get refusal(): string | undefined {
    return this.#refusal;
  }

  start(): void {
    const { redis } = this.#options;
    // Asked at every new connection: a Redis that has lost its data gives another id, and all processes must use the same.
    redis.on('ready', this.#join);
    if (redis.status === 'ready') this.#join();
  }

  /** Safe to call twice. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#options.redis.off('ready', this.#join);
  }

  readonly #join = (): void => void this.#turn(true);

  /** @param anew whether the connection is a new one, so that Redis may have forgotten what it was told */
  async #turn(anew: boolean): Promise<void> {
    clearTimeout(this.#timer);
    let nextMs = CLAIM_MS;
    let failed = false;
    try {
      await this.#check();
      await this.#claim();
      if (this.#refusal !== undefined) nextMs = REFUSED_MS;
      else if (anew || this.#runningId === undefined) await this.#obtain();
      else await this.#compare();
    } catch (error) {
      // Nobody catches it: the process ends, and its log says why.
      if (error instanceof UnsuitableRedisError) throw error;
      this.#options.log.warn({ reason: messageOf(error) }, 'running_id.failed');
      nextMs = RETRY_MS;
      failed = anew;
    }
    if (this.#stopped) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#turn(failed), nextMs);
  }

  async #check(): Promise<void> {
    if (this.#checked) return;
    await checkRedisServer(this.#options.redis, this.#options.log);
    this.#checked = true;
  }

  async #claim(): Promise<void> {
    const { redis, config, log } = this.#options;
    const installation = await claimProtocol(redis, config.redis.prefix);
    const refusal = installation === PROTOCOL ? undefined : protocolRefusal('API', installation);
    if (refusal !== undefined && refusal !== this.#refusal) log.warn({ reason: refusal }, 'protocol.refused');
    this.#refusal = refusal;
    if (refusal !== undefined) this.#adopt(undefined);
  }

  async #obtain(): Promise<void> {
    const { redis, config } = this.#options;
    this.#adopt(await obtainRunningId(redis, config.redis.prefix, config.runningId));
  }

  /** Another master may have set another id since: one that has none of its own follows, one that has keeps it and says so. */
  async #compare(): Promise<void> {
    const { redis, config, log } = this.#options;
    const stored = await storedRunningId(redis, config.redis.prefix);
    if (stored === undefined) return this.#obtain();
    if (config.runningId === undefined) return this.#adopt(stored);
    if (stored !== config.runningId && stored !== this.#otherId) {
      const reason =
        'another master on this Redis has another RUNNING_ID, and each knows its own jobs only: set the same one on all of them';
      log.warn({ own: config.runningId, other: stored, reason }, 'running_id.conflicted');
    }
    this.#otherId = stored;
  }

  #adopt(runningId: string | undefined): void {
    if (runningId === this.#runningId) return;
    this.#runningId = runningId;
    this.#options.onRunningId(runningId);
  }
}
