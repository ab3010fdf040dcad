/** A master and three workers on four addresses, and what a network does to them. */
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { jobOf } from '../support/https.ts';
import { until } from '../support/until.ts';
import { nowMs } from './diary.ts';
import { NetworkInstallation, SLOTS } from './installation.ts';
import { Lan } from './lan.ts';
import { startLoad } from './load.ts';
import { startSlowProxy } from './slow-proxy.ts';

/** Promise: a lost job runs elsewhere, and a consumer takes jobs again, within this time. */
const PROMISED_MS = 15_000;

/** A job that lost its consumer once has been started twice; what lost two is not run again. */
const MOST_STARTS = 2;

const missing = Lan.missing;
if (missing !== undefined) process.stderr.write(`test/network is skipped: ${missing}\n`);

describe.skipIf(missing !== undefined)('on a network', () => {
  let net: NetworkInstallation;

  beforeAll(async () => {
    net = await NetworkInstallation.start();
  });
  afterAll(async () => await net?.stop());

  /** All of these have succeeded. */
  async function succeed(ids: readonly string[], timeoutMs: number) {
    const ends = await net.ends(ids, timeoutMs);
    expect(ends.filter(({ state }) => state !== 'SUCCESS')).toEqual([]);
    return ends;
  }

  it('jobs spread over all workers, and each runs once', async () => {
    const ids = await net.submit(12 * SLOTS, 'anywhere', { ms: 300 }, net.apis.master);
    await succeed(ids, 20_000);
    expect(net.diary.hostsOf(ids)).toEqual(['a', 'b', 'c']);
    expect(net.diary.startedMoreThan(1, ids)).toEqual([]);
  });

  it('a worker that is cut off for longer than a lock: its job runs elsewhere, and its late answer is refused', async () => {
    const ids = await net.submit(3 * SLOTS, 'anywhere', { ms: 4000 });
    const firsts = await Promise.all(ids.map((id) => net.started(id, 1, 5000)));
    const cut = firsts.find(({ host }) => host === 'b');
    const { id = '' } = cut ?? {};
    net.lan.host('b').unplug();
    const cutAt = nowMs();
    const second = await net.started(id, 2, PROMISED_MS + 5000);
    expect(second.host).not.toBe('b');
    expect(second.atMs - cutAt).toBeLessThan(PROMISED_MS);
    // Other jobs of the worker that was cut have gone elsewhere, too; nothing else ran twice.
    const ends = await succeed(ids, 20_000);
    expect(net.diary.startedMoreThan(1, ids)).toEqual(firsts.filter(({ host }) => host === 'b').map((first) => first.id));
    expect(net.diary.startedMoreThan(MOST_STARTS, ids)).toEqual([]);
    await pause(Math.max(0, 12_000 - (nowMs() - cutAt)));
    net.lan.host('b').plug();
    expect(await net.takesJobs('b', PROMISED_MS)).toBeLessThan(PROMISED_MS);
    await net.worker('b').waitForEvent('job.write_refused', { where: ({ jobId }) => jobId === id });
    const [after] = await net.ends([id], 1000);
    expect(after).toEqual(ends.find((end) => end.id === id));
    expect(after?.result).toMatchObject({ host: second.host });
  });

  it('a short cut, seen by the worker (3 s) or not (2.5 s), loses nothing and runs nothing twice', async () => {
    const ids = [...(await net.submit(SLOTS, 'on_a', { ms: 7000 })), ...(await net.submit(SLOTS, 'on_b', { ms: 7000 }))];
    const others = await net.submit(4 * SLOTS, 'anywhere', { ms: 1000 });
    const [id = ''] = ids;
    await Promise.all(ids.map((one) => net.started(one, 1, 5000)));
    const periodMs = await renewalPeriod(() => net.lockLeftMs('on_a', id));
    // The shorter it is, the more of a lock is left when a cut begins: TCP's next try may be seconds away when it is over.
    expect(periodMs).toBeLessThan(2000);
    // Right before the next renewal.
    await pause(periodMs - 60);
    net.lan.host('a').silence();
    net.lan.host('b').unplug();
    await pause(2500);
    net.lan.host('a').unsilence();
    await pause(500);
    net.lan.host('b').plug();
    await succeed([...ids, ...others], 20_000);
    expect(net.diary.startedMoreThan(1, [...ids, ...others])).toEqual([]);
  });

  it('a master that is cut off for 10 s: clients get 503 or nothing, and all workers take jobs again', async () => {
    const load = startLoad(net, ['master', 'near']);
    await until(() => load.acknowledged.length >= 10, { what: 'jobs to be acknowledged' });
    net.master.unplug();
    await pause(10_000);
    net.master.plug();
    const healedAt = nowMs();
    await Promise.all((['a', 'b', 'c'] as const).map((name) => retried(() => net.takesJobs(name, PROMISED_MS))));
    expect(nowMs() - healedAt).toBeLessThan(PROMISED_MS);
    await load.stop();
    expect([...new Set(load.refused)].sort()).toEqual([503, 'none']);
    await succeed(load.acknowledged, 30_000);
    expect(net.diary.startedMoreThan(MOST_STARTS, load.acknowledged)).toEqual([]);
  });

  it('with 30 % of what a worker should receive lost, its jobs complete', async () => {
    const host = net.lan.host('c');
    host.loseIncoming(0.3);
    const ids = [...(await net.submit(15, 'on_c', { ms: 200, bytes: 1000 })), ...(await net.submit(30, 'anywhere', { ms: 200 }))];
    await succeed(ids, 40_000);
    const { lost } = host;
    host.loseNothing();
    expect(lost).toBeGreaterThan(10);
    expect(net.diary.startedMoreThan(MOST_STARTS, ids)).toEqual([]);
  });

  it('over a link of 1 mbit/s, jobs with results of 100 KB complete and run once', async () => {
    const host = net.lan.host('b');
    host.limit('1mbit');
    const from = nowMs();
    const ids = await net.submit(10, 'on_b', { ms: 500, bytes: 100_000 });
    const ends = await succeed(ids, 40_000);
    const tookMs = nowMs() - from;
    host.unlimit();
    expect(ends.every(({ result }) => (result as { text: string }).text.length === 100_000)).toBe(true);
    // A million bytes at that rate: the link was as slow as it should be.
    expect(tookMs).toBeGreaterThan(7000);
    expect(net.diary.startedMoreThan(1, ids)).toEqual([]);
  });

  it('with every byte 100 ms late, jobs complete, hard limits hold, and a revoke is obeyed in time', async () => {
    const delayMs = 100;
    const proxy = await startSlowProxy(net.lan.address, { host: net.master.address, port: 6379 }, delayMs);
    try {
      await net.worker('c').stop();
      await net.startWorker('c', { host: net.lan.address, port: proxy.port });
      const ids = await net.submit(10, 'on_c', { ms: 200 });
      await succeed(ids, 20_000);
      expect(net.diary.startedMoreThan(1, ids)).toEqual([]);

      const [endless = ''] = await net.submit(1, 'endless', {});
      const [end] = await net.ends([endless], 10_000);
      expect(end).toMatchObject({ state: 'FAILURE', result: expect.stringContaining('TimeLimitExceeded(1)') as string });
      const [start] = net.diary.starts(endless);
      expect(net.diary.lastSign(endless) - (start?.atMs ?? 0)).toBeLessThan(2000);

      const [long = ''] = await net.submit(1, 'on_c', { ms: 60_000 });
      await net.started(long, 1, 10_000);
      const revokedAt = nowMs();
      await net.apis.near.post('/revoke', { result_id: long });
      expect(jobOf(await net.apis.near.get(`/check/${long}`))).toMatchObject({ state: 'REVOKED', result: 'terminated' });
      await net.worker('c').waitForEvent('job.terminated', { where: ({ jobId }) => jobId === long });
      expect(net.diary.lastSign(long) - revokedAt).toBeLessThan(1000 + delayMs);
      expect(proxy.bytes).toBeGreaterThan(0);
    } finally {
      await net.worker('c').kill9();
      await proxy.stop();
    }
  });
});

/** Waits until a lock has been renewed twice, and returns right after that. @returns the time in between, in milliseconds */
async function renewalPeriod(leftMs: () => Promise<number>): Promise<number> {
  const periods: number[] = [];
  let before = await leftMs();
  const look = async () => {
    const left = await leftMs();
    if (left > before) periods.push(left - before);
    before = left;
    return periods[1];
  };
  return await until(look, { what: 'two renewals of a lock', timeoutMs: 8000, everyMs: 5 });
}

/** Again and again: what is asked for may be refused at first. The caller looks at how long it took. */
function retried<T>(work: () => Promise<T>): Promise<T> {
  return until(async () => ({ value: await work() }), { what: 'it to succeed', timeoutMs: PROMISED_MS, everyMs: 200 }).then(
    ({ value }) => value,
  );
}
