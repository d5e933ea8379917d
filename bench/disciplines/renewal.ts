import { idOf } from '../contestants/contestant.js';
import { contestants } from '../contestants/index.js';
import { median, sum } from '../stats.js';
import { alsoColumn, alsoOf, quantileColumn, turnsOf } from './columns.js';
import { entriesOf, type Bar, type Discipline } from './discipline.js';

const TTL_MS = 10_000;
const TICKS_IN_TTL = 3;

/** Enough to see that it works. */
const QUICK_MS = 100;

const CLIENT = 'client CPU ms/tick';
const SERVER = 'server CPU ms/tick';
const HEAP = 'heap bytes/lease';
const LOST = 'lost';

const bars: readonly Bar[] = [
  bar('calls a tick', 100, (results) => median(turnsOf('interlock', results))),
  bar('heap bytes a lease', 2_048, (results) => median(alsoOf(HEAP, 'interlock', results))),
  bar('leases lost', 0, (results) =>
    results.has('interlock') ? sum(alsoOf(LOST, 'interlock', results)) : NaN,
  ),
];

export const renewals: readonly Discipline[] = [
  renewalOf(100, { ttls: 1, bars: [] }),
  renewalOf(1_000, { ttls: 1, bars: [] }),
  renewalOf(10_000, { ttls: 6, bars }),
];

/** @param ttls for how many times the ttl we hold them; the others are held for one ttl */
function renewalOf(size: number, { ttls, bars }: { ttls: number; bars: readonly Bar[] }): Discipline {
  const [oursSeconds, theirsSeconds] = [(ttls * TTL_MS) / 1000, TTL_MS / 1000];
  const theirs = ttls > 1 ? `, by the others for ${theirsSeconds} s` : '';
  return {
    name: `renewal-${size}`,
    title: `${size} leases of ${TTL_MS / 1000} s, held by one process for ${oursSeconds} s${theirs}; a tick is a third of the ttl`,
    rounds: 1,
    warmUp: false,
    columns: [
      quantileColumn('calls/tick', 0.5, 0),
      alsoColumn(CLIENT, 1),
      alsoColumn(SERVER, 1),
      alsoColumn(HEAP, 0),
      alsoColumn(LOST, 0),
    ],
    bars,
    entries: entriesOf(contestants, async (contestant, rig) => {
      if (!contestant.renews) return { remark: 'does not renew' };
      return rig.inFreshReplica(async (replica) => {
        const leases = rig.size(size);
        const terms = { contestant: idOf(contestant), prefix: rig.freshKey(), leases, ttlMs: TTL_MS };
        const heapBytes = await replica.ask('hold', terms);
        const ticks = rig.quick ? 1 : TICKS_IN_TTL * (contestant.name === 'interlock' ? ttls : 1);
        const forMs = rig.quick ? QUICK_MS : (ticks * TTL_MS) / TICKS_IN_TTL;
        const serverBefore = await rig.serverCpuMs();
        const { calls, cpuMs } = await replica.ask('renewFor', { forMs });
        const serverCpuMs = (await rig.serverCpuMs()) - serverBefore;
        const lost = await replica.ask('letGo', {});
        return {
          values: [calls / ticks],
          calls,
          acquisitions: leases,
          also: {
            [CLIENT]: cpuMs / ticks,
            [SERVER]: serverCpuMs / ticks,
            [HEAP]: heapBytes,
            [LOST]: lost,
          },
        };
      });
    }),
  };
}

function bar(title: string, limit: number, figure: Bar['figure']): Bar {
  return { title, digits: 0, figure, side: 'at most', limit };
}
