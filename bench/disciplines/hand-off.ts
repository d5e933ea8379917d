import { idOf, RETRY_MS, type Field } from '../contestants/contestant.js';
import { contestants, onRedis } from '../contestants/index.js';
import { quantile } from '../stats.js';
import { callsColumn, quantileColumn, timesColumn, valuesOf } from './columns.js';
import { entriesOf, type Bar, type Column, type Discipline } from './discipline.js';

/** Long enough for a waiter to have been refused, and to be wherever it waits. */
const SETTLE_MS = 10;

const TIMES = 25;

const columns: readonly Column[] = [
  quantileColumn('p50 ms', 0.5, 2),
  quantileColumn('p99 ms', 0.99, 2),
  quantileColumn('min', 0, 2),
  quantileColumn('max', 1, 2),
  timesColumn('bare'),
  callsColumn,
];

/** Between two callers of one replica. */
export const handOffInside: Discipline = {
  name: 'hand-off',
  title: 'Hand-off to the one waiter, in one process: from the call of release until it has the lock',
  columns,
  bars: [bar('in one process, p50', 0.5, 0.6)],
  entries: entriesOf(contestants, async (contestant, rig) => {
    const replica = rig.replica(contestant);
    await replica.ask('ready', { contestant: idOf(contestant) });
    const sentBefore = await replica.ask('sent', {});
    const times = rig.size(TIMES);
    const values: number[] = [];
    for (let time = 0; time < times; time++) {
      const terms = { contestant: idOf(contestant), key: rig.freshKey(), afterMs: anyMomentMs() };
      values.push(await replica.ask('handOff', terms));
    }
    const calls = (await replica.ask('sent', {})) - sentBefore;
    await rig.tidy(contestant, replica);
    return { values, calls, acquisitions: 2 * times };
  }),
};

/** Between two replicas of an application. */
export const handOffAcross = handOffAcrossOf(onRedis, {
  name: 'hand-off-across',
  title: 'The same with holder and waiter in two processes',
  bars: [bar('across processes, p50', 0.5, 0.8), bar('across processes, p99', 0.99, 3)],
});

export function handOffAcrossOf(
  { contestants, server }: Field,
  { name, title, bars }: { name: string; title: string; bars: readonly Bar[] },
): Discipline {
  return {
    name,
    title,
    server,
    columns,
    bars,
    entries: entriesOf(contestants, async (contestant, rig) => {
      const [holder, waiter] = [rig.replica(contestant, 0), rig.replica(contestant, 1)];
      const both = [holder, waiter];
      const sentByBoth = async (): Promise<number> => {
        const [ofHolder = 0, ofWaiter = 0] = await Promise.all(both.map((one) => one.ask('sent', {})));
        return ofHolder + ofWaiter;
      };
      for (const one of both) await one.ask('ready', { contestant: idOf(contestant) });
      const sentBefore = await sentByBoth();
      const times = rig.size(TIMES);
      const values: number[] = [];
      for (let time = 0; time < times; time++) {
        const terms = { contestant: idOf(contestant), key: rig.freshKey() };
        await holder.ask('take', terms);
        await waiter.ask('stand', terms);
        const [calledAtMs, hadAtMs] = await Promise.all([
          holder.ask('handOver', { ...terms, afterMs: anyMomentMs() }),
          waiter.ask('receive', terms),
        ]);
        values.push(hadAtMs - calledAtMs);
      }
      const calls = (await sentByBoth()) - sentBefore;
      await rig.tidy(contestant, ...both);
      return { values, calls, acquisitions: 2 * times };
    }),
  };
}

/** At any moment between two tries of those who try again and again. */
function anyMomentMs(): number {
  return SETTLE_MS + Math.random() * RETRY_MS;
}

export function bar(name: string, q: number, limit: number): Bar {
  return {
    title: `hand-off ${name} ms`,
    digits: 2,
    figure: (results) => quantile(valuesOf('interlock', results), q),
    side: 'at most',
    limit,
  };
}
