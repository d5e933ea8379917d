import { describe, expect, it } from '@jest/globals';
import {
  isGrant,
  type Grant,
  type LockBackend,
  type LockSnapshot,
  type Place,
} from '../../lib/backends/lock-backend.js';
import { LockError } from '../../lib/core/errors.js';
import type { Lease } from '../../lib/core/lease.js';
import { FAULTS, type Fault, type FaultPlan } from '../../lib/testing/faulty-backend.js';
import { EXCLUSIVE, type Share } from '../faults/judges/share.js';
import { LeaseWitness } from '../support/lease-witness.js';
import { changed, PATIENCE_MS, Rig, type Replica } from '../support/rig.js';

const CALL_TIMEOUT_MS = 400;
const START_TIMEOUT_MS = 600;
const SHUTDOWN_TIMEOUT_MS = 1_000;
const TTL_MS = 2_000;
/** What a release may take: a renewal that is in flight, and the call itself. */
const RELEASE_MS = 2 * CALL_TIMEOUT_MS;
const ABORTED = new Error('aborted by the test');

/** A stage for one scenario, of which one call fails. */
class Stage {
  readonly rig = new Rig();
  readonly witness = new LeaseWitness();
  readonly problems: string[] = [];
  /** The one whose calls fail. */
  readonly us: Replica;
  readonly them: Replica;

  constructor(plan: FaultPlan, between: (inner: LockBackend) => LockBackend = (inner) => inner) {
    const settings = {
      callTimeout: CALL_TIMEOUT_MS,
      startTimeout: START_TIMEOUT_MS,
      shutdownTimeout: SHUTDOWN_TIMEOUT_MS,
      ttl: TTL_MS,
      wait: 1_000,
    };
    this.us = this.rig.replica({ ...settings, plan, between });
    this.them = this.rig.replica(settings);
  }

  /** Expects a public call to settle in time, with a value or an error that is meant for people. */
  async timely<T>(what: string, limitMs: number, call: Promise<T>): Promise<T | undefined> {
    const startMs = this.rig.clock.now();
    try {
      return await call;
    } catch (error) {
      if (!(error instanceof LockError) && error !== ABORTED) this.problems.push(`${what}: ${String(error)}`);
      return undefined;
    } finally {
      const tookMs = this.rig.clock.now() - startMs;
      if (tookMs > limitMs + PATIENCE_MS) this.problems.push(`${what} took ${tookMs} ms, not ${limitMs} ms`);
    }
  }

  async acquire(
    { locks }: Replica,
    keys: string | string[],
    options: Parameters<typeof locks.acquire>[1] & { wait?: number } = {},
    share: Share = EXCLUSIVE,
  ): Promise<Lease | undefined> {
    const { wait = 1_000 } = options;
    // a start that fails says so by its own limit
    const limitMs = Math.max(wait || CALL_TIMEOUT_MS, START_TIMEOUT_MS);
    const lease = await this.timely(`acquire ${String(keys)}`, limitMs, locks.acquire(keys, options));
    if (lease) this.witness.hold(lease, share);
    return lease;
  }

  async release(lease: Lease | undefined): Promise<boolean | undefined> {
    if (!lease) return undefined;
    this.witness.end(lease);
    return this.timely('release', RELEASE_MS, lease.release());
  }

  sleep(ms: number): Promise<void> {
    return this.rig.sleep(ms);
  }

  /** Nothing is left on the server, and nothing is going on, after the ttl. */
  async expectRest(): Promise<void> {
    await this.rig.clock.advance(TTL_MS + 4_000);
    for (const { locks } of [this.us, this.them]) {
      const { held, waiting, owed } = locks.gauges;
      if (held + waiting + owed > 0)
        this.problems.push(`left: ${held} held, ${waiting} waiting, ${owed} owed`);
    }
    const left: LockSnapshot[] = [];
    for await (const snapshot of this.inspector()) left.push(snapshot);
    if (left.length > 0) this.problems.push(`left on the server: ${left.map(({ key }) => key).join(', ')}`);
  }

  private inspector(): AsyncIterable<LockSnapshot> {
    return this.rig.replica().locks.list();
  }
}

type Scenario = (stage: Stage) => Promise<void>;

const SCENARIOS: Record<string, Scenario> = {
  'acquire and release': async (stage) => {
    const lease = await stage.acquire(stage.us, 'k');
    await stage.sleep(10);
    await stage.release(lease);
    await stage.release(await stage.acquire(stage.us, 'k', { wait: 0 }));
  },

  'wait and hand-off': async (stage) => {
    const { us, them } = stage;
    const first = await stage.acquire(them, 'k');
    const turns = [us, us, them, us].map(async (replica) => {
      const lease = await stage.acquire(replica, 'k', { wait: 3_000 });
      await stage.sleep(20);
      await stage.release(lease);
    });
    await stage.sleep(350);
    await stage.release(first);
    await Promise.all(turns);
  },

  'abort and time-out': async (stage) => {
    const { us, them } = stage;
    const first = await stage.acquire(them, 'k');
    const abort = new AbortController();
    const waits = [
      stage.acquire(us, 'k', { signal: abort.signal, wait: 5_000 }),
      stage.acquire(us, 'k', { wait: 100 }),
      stage.acquire(us, 'k', { wait: 1_500 }),
    ].map(async (lease) => stage.release(await lease));
    await stage.sleep(400);
    abort.abort(ABORTED);
    await stage.sleep(100);
    await stage.release(first);
    await Promise.all(waits);
  },

  're-entry': async (stage) => {
    const { us } = stage;
    const limitMs = 1_000 + RELEASE_MS + 60;
    const nested = us.locks.using('k', { wait: 1_000 }, async (outer) => {
      stage.witness.hold(outer);
      await stage.sleep(10);
      await stage.timely(
        'inner',
        10,
        us.locks.using('k', { wait: 0 }, async (inner) => {
          stage.witness.hold(inner);
          await stage.sleep(10);
          stage.witness.end(inner);
        }),
      );
      stage.witness.end(outer);
    });
    await stage.timely('using', limitMs, nested);
  },

  'several keys': async (stage) => {
    const { us, them } = stage;
    const busy = await stage.acquire(them, 'c');
    const refused = stage.acquire(us, ['a', 'b', 'c'], { wait: 200 });
    await stage.release(await refused);
    const turns = [
      [us, ['a', 'b']],
      [them, ['b', 'a']],
      [us, ['b', 'c']],
    ] as const;
    const work = turns.map(async ([replica, keys]) => {
      const lease = await stage.acquire(replica, [...keys], { wait: 2_000 });
      await stage.sleep(15);
      await stage.release(lease);
    });
    await stage.sleep(100);
    await stage.release(busy);
    await Promise.all(work);
  },

  'a long hold that is extended': async (stage) => {
    const { us, them } = stage;
    const lease = await stage.acquire(us, 'k');
    const rival = stage.acquire(them, 'k', { wait: 9_000 });
    await stage.sleep(1_500);
    if (lease) await stage.timely('extend', RELEASE_MS, lease.extend(3_000));
    await stage.sleep(2_500);
    if (lease) await stage.timely('shorten', RELEASE_MS, lease.extend(1_000));
    await stage.sleep(2_000);
    await stage.release(lease);
    await stage.release(await rival);
  },

  'a lock that is taken away': async (stage) => {
    const { us, them } = stage;
    const lease = await stage.acquire(us, 'k');
    // whoever takes a lock away answers for the holder, who hears of it a little later
    if (lease) stage.witness.end(lease);
    await stage.timely('forceRelease', CALL_TIMEOUT_MS + START_TIMEOUT_MS, us.locks.forceRelease('k'));
    await stage.sleep(50);
    const next = await stage.acquire(them, 'k', { wait: 4_000 });
    await stage.sleep(1_000);
    await stage.release(lease);
    await stage.release(next);
  },

  'readers, a writer, and permits': async (stage) => {
    const { us, them } = stage;
    const shared: Share = { mode: 'shared', take: 1, of: 0 };
    const take = (n: number): Share => ({ mode: 'permits', take: n, of: 3 });
    const wait = 3_000;
    const turns = [
      stage.acquire(us, 'k', { wait, mode: 'shared' }, shared),
      stage.acquire(them, 'k', { wait, mode: 'shared' }, shared),
      stage.acquire(us, 'k', { wait }),
      stage.acquire(us, 'k', { wait, mode: 'shared', minHold: 100 }, shared),
      stage.acquire(them, 'p', { wait, permits: 3, take: 2 }, take(2)),
      stage.acquire(us, 'p', { wait, permits: 3, take: 2 }, take(2)),
      stage.acquire(us, 'p', { wait, permits: 3, take: 1 }, take(1)),
    ].map(async (turn) => {
      const lease = await turn;
      await stage.sleep(60);
      await stage.release(lease);
    });
    await Promise.all(turns);
  },

  'a handle that is adopted': async (stage) => {
    const { us, them } = stage;
    const given = await stage.acquire(them, 'k', { renew: false });
    if (!given) return;
    const adopted = us.locks.adopt(given.handle());
    const lease = await stage.timely('adopt', CALL_TIMEOUT_MS + START_TIMEOUT_MS, adopted);
    if (lease) stage.witness.hold(lease);
    await stage.sleep(3_000);
    await stage.release(lease);
    await stage.release(given);
  },

  'a shutdown with holders and waiters': async (stage) => {
    const { us, them } = stage;
    const elsewhere = await stage.acquire(them, 'elsewhere');
    const leases = [await stage.acquire(us, 'a'), await stage.acquire(us, ['b', 'c'])];
    const waits = [
      stage.acquire(us, 'elsewhere', { wait: 5_000 }),
      stage.acquire(us, 'a', { wait: 5_000 }),
      stage.acquire(them, 'b', { wait: 5_000 }),
    ];
    await stage.sleep(300);
    const limitMs = CALL_TIMEOUT_MS + SHUTDOWN_TIMEOUT_MS + CALL_TIMEOUT_MS;
    await stage.timely('stop', limitMs, us.locks.stop());
    for (const lease of leases) await stage.release(lease);
    for (const wait of waits) await stage.release(await wait);
    await stage.release(elsewhere);
  },
};

/** What no backend may answer, in the place of a grant, an outcome or a list of them. */
const RUBBISH: readonly unknown[] = [undefined, 42, {}, [], 'renewed', { fence: 1 }];

/** Carries out the n-th call, and answers it with rubbish. */
function answering(n: number, rubbish: unknown): (inner: LockBackend) => LockBackend {
  let calls = 0;
  const step = async <T>(answer: Promise<T>): Promise<T> => {
    const isHit = ++calls === n;
    const real = await answer;
    return isHit ? (rubbish as T) : real;
  };
  const placed = (answer: Grant | Place): Grant | Place =>
    isGrant(answer)
      ? answer
      : {
          busy: answer.busy,
          onHint: (wake) => answer.onHint(wake),
          retry: () => step(answer.retry().then(placed)),
        };
  return (inner) =>
    changed(inner, {
      claim: (claim) => step(inner.claim(claim).then(placed)),
      abandon: (claim) => step(inner.abandon(claim)),
      renew: (grants) => step(inner.renew(grants)),
      release: (grant, lingerMs) => step(inner.release(grant, lingerMs)),
    });
}

async function play(
  scenario: Scenario,
  plan: FaultPlan,
  healAfterMs?: number,
  between?: (inner: LockBackend) => LockBackend,
): Promise<Stage> {
  const stage = new Stage(plan, between);
  if (healAfterMs !== undefined) {
    stage.rig.clock.setTimer(() => {
      stage.us.backend.plan = [];
    }, healAfterMs);
  }
  await stage.rig.within(60_000, scenario(stage));
  await stage.expectRest();
  return stage;
}

describe('the n-th call fails', () => {
  for (const [name, scenario] of Object.entries(SCENARIOS)) {
    it(`[9, 24, 26, 56] ${name}: for every n, in every way, nothing leaks, hangs or is held twice`, async () => {
      const undisturbed = await play(scenario, []);
      expect([...undisturbed.witness.violations, ...undisturbed.problems]).toEqual([]);
      expect(undisturbed.witness.seen).toBeGreaterThan(0);
      const calls = undisturbed.us.backend.calls.length;
      const found: Record<string, string[]> = {};
      for (let n = 1; n <= calls; n++) {
        for (const fault of FAULTS) await note(`${fault} at ${n}`, { call: n, fault });
        for (const fault of ['before', 'hang', 'hang-after'] as const) {
          await note(`${fault} from ${n} on`, { call: n, fault, onward: true }, 3_000);
        }
      }
      for (let n = 1; n <= calls; n++) {
        for (const rubbish of RUBBISH) {
          await look(
            `${JSON.stringify(rubbish)} at ${n}`,
            await play(scenario, [], undefined, answering(n, rubbish)),
          );
        }
      }
      expect(found).toEqual({});

      async function note(
        what: string,
        plan: FaultPlan & { fault: Fault },
        healAfterMs?: number,
      ): Promise<void> {
        await look(what, await play(scenario, plan, healAfterMs));
      }

      async function look(what: string, stage: Stage): Promise<void> {
        const problems = [...stage.witness.violations, ...stage.problems];
        if (problems.length > 0) found[what] = problems;
        await stage.rig.close();
      }
    });
  }

  it('the witness of these would notice two holders, and a fence that falls', async () => {
    const rig = new Rig();
    const witness = new LeaseWitness();
    const one = await rig.replica({ prefix: 'one' }).locks.acquire('k');
    const two = await rig.replica({ prefix: 'two' }).locks.acquire('k');
    witness.hold(one);
    witness.hold(two);
    expect(witness.violations).toEqual([expect.stringContaining('together with')]);
    witness.end(two);
    witness.end(one);
    witness.hold(one);
    expect(witness.violations.slice(1)).toEqual(['k: fence 1 after 2']);
    await one.release();
    await two.release();
  });
});
