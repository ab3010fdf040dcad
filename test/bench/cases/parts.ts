/** The parts by themselves, for orientation: no bar. */
import type { Group } from '../case.ts';
import { load } from '../load.ts';
import { System } from '../system.ts';
import type { Row } from '../table.ts';

const SECONDS = 1;

export const parts: Group = {
  cases: { parts: 'the parts alone, for orientation: Redis, queue.add, bare Koa with and without TLS' },
  async measure({ rounds }) {
    const system = await System.start();
    try {
      const { ready } = await system.floor<{ https: number; http: number }>('koa');
      const hello = async (origin: string) =>
        (await load({ origin, headers: {} }, { asks: [{ method: 'GET', path: '/' }], seconds: SECONDS })).perSecond;
      const figures: Record<string, number[]> = {};
      const note = (what: string, value: number) => {
        figures[what] = [...(figures[what] ?? []), value];
      };
      for (let round = 0; round < rounds; round += 1) {
        const { process, ready: redis } = await system.floor<{ pings: number; adds: number }>('redis', [String(SECONDS)]);
        await process.exited;
        await system.dropWaiting('bull:parts:');
        note('Redis, ping after ping', redis.pings);
        note('queue.add, 32 in flight', redis.adds);
        note('bare Koa over HTTP, 32 connections', await hello(`http://127.0.0.1:${ready.http}`));
        note('bare Koa over HTTPS, 32 connections', await hello(`https://127.0.0.1:${ready.https}`));
      }
      return Object.entries(figures).map(
        ([what, values]): Row => ({ case: 'parts', what, unit: '1/s', ours: [], floor: { what: '', values } }),
      );
    } finally {
      await system.stop();
    }
  },
};
