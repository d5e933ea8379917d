import { describe, expect, it } from '@jest/globals';
import { LockError, LockLostError, ShardService, type Shard } from 'nestjs-interlock';
import { quota } from '../../lib/scheduling/shard-settings.js';
import { Gate } from '../support/gate.js';
import { Troupe, type Member } from '../support/troupe.js';

const GROUP = { group: 'imports', shards: 16, ttl: '2s' } as const;
const TTL_MS = 2_000;

interface Replica extends Member {
  readonly shards: ShardService;
}

async function replica(troupe: Troupe): Promise<Replica> {
  const member = await troupe.member();
  const shards = new ShardService(member.locks);
  shards.join(GROUP);
  shards.onApplicationBootstrap();
  troupe.alsoCloses(member, () => shards.onModuleDestroy());
  return { ...member, shards };
}

const owned = ({ shards }: Replica): readonly Shard[] => shards.owned('imports');
const counts = (replicas: readonly Replica[]): number[] => replicas.map((one) => owned(one).length);

/** Who owns each shard; fails when two do. */
function map(replicas: readonly Replica[]): Map<number, string> {
  const owners = new Map<number, string>();
  for (const one of replicas) {
    for (const { index } of owned(one)) {
      expect({ index, owner: owners.get(index) }).toEqual({ index, owner: undefined });
      owners.set(index, one.name);
    }
  }
  return owners;
}

const moved = (before: Map<number, string>, after: Map<number, string>): number =>
  [...after].filter(([index, owner]) => before.get(index) !== owner).length;

describe('shares', () => {
  it('add up, differ by one at most, and move no more than they have to', () => {
    for (let shards = 1; shards <= 40; shards++) {
      for (let replicas = 1; replicas <= 12; replicas++) {
        const shares = Array.from({ length: replicas }, (_, older) => quota(shards, older, replicas));
        expect(shares.reduce((sum, share) => sum + share, 0)).toBe(shards);
        expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1);
        const withOneMore = shares.map((_, older) => quota(shards, older, replicas + 1));
        withOneMore.forEach((share, older) => expect(share).toBeLessThanOrEqual(shares[older] ?? 0));
        // the one at `left` leaves, and those behind it move up
        for (let left = 0; left < replicas - 1; left++) {
          shares.forEach((share, older) => {
            if (older === left) return;
            const now = quota(shards, older - (older > left ? 1 : 0), replicas - 1);
            expect(now).toBeGreaterThanOrEqual(share);
          });
        }
      }
    }
  });
});

describe('sixteen shards', () => {
  it('[54] are spread over 1, 4, 3 and 1 replicas, in time, with the fewest moves, and never in two hands', async () => {
    const troupe = new Troupe();
    const first = await replica(troupe);
    const all = [first];
    await troupe.until(() => owned(first).length === 16, 2 * TTL_MS);
    const fences = new Map(owned(first).map(({ index, fence }) => [index, fence]));
    let before = map(all);

    for (const [share, mostMoves] of [
      [[8, 8], 8],
      [[6, 5, 5], 6],
      [[4, 4, 4, 4], 5],
    ] as const) {
      all.push(await replica(troupe));
      await troupe.until(() => (map(all), String(counts(all)) === String(share)), 2 * TTL_MS);
      expect(moved(before, map(all))).toBeLessThanOrEqual(mostMoves);
      before = map(all);
    }
    // one is told, one is not heard of any more
    const [leaver] = all.splice(1, 1) as [Replica];
    await troupe.shutDown(leaver);
    await troupe.until(() => (map(all), String(counts(all)) === '6,5,5'), 2 * TTL_MS);
    expect(moved(before, map(all))).toBe(4);
    for (const one of all.splice(1)) troupe.cutOff(one);
    await troupe.until(() => owned(first).length === 16, 2 * TTL_MS);
    for (const { index, fence } of owned(first)) {
      expect(fence >= (fences.get(index) ?? 0n)).toBe(true);
    }
  });

  it('are told of their end before somebody else has them', async () => {
    const troupe = new Troupe();
    const first = await replica(troupe);
    await troupe.until(() => owned(first).length === 16, 2 * TTL_MS);
    const shards = owned(first);
    const gate = new Gate();
    const seen: string[] = [];
    const run = first.shards.run({
      site: 'Imports.run',
      group: 'imports',
      guard: shards,
      scheduled: undefined,
      body: async (given) => {
        expect(given).toHaveLength(16);
        await gate.opened;
        for (const shard of given) seen.push(shard.signal.aborted ? 'told' : 'goes on');
      },
    });
    const second = await replica(troupe);
    await troupe.clock.advance(600);
    const told = shards.filter(({ signal }) => signal.aborted);
    expect([told.length, owned(second).length]).toEqual([8, 0]);
    expect(told[0]?.signal.reason).toBeInstanceOf(LockError);
    expect(() => told[0]?.assertOwned()).toThrow(/goes to another replica; end the work on it/);
    gate.open();
    await run;
    await troupe.until(() => owned(second).length === 8, TTL_MS);
    expect(seen.filter((word) => word === 'told')).toHaveLength(8);
    // what works on although it was told is waited for up to half of the ttl
    troupe.cutOff(second);
    const lost = owned(second);
    await troupe.clock.advance(2_000);
    expect(lost.every(({ signal }) => signal.reason instanceof LockLostError)).toBe(true);
    expect(owned(second)).toEqual([]);
  });

  it('are worked on by one run of a method at a time', async () => {
    const troupe = new Troupe();
    const one = await replica(troupe);
    const gate = new Gate();
    const guard = {};
    const run = (body: (shards: readonly Shard[]) => unknown): Promise<unknown> =>
      one.shards.run({ site: 'Imports.run', group: 'imports', guard, scheduled: undefined, body });
    await run(() => expect('it owns no shards yet').toBe(''));
    await troupe.until(() => owned(one).length === 16, TTL_MS);
    const first = run(() => gate.opened);
    await run(() => expect('the first one works on them').toBe(''));
    gate.open();
    await first;
    expect(await run((shards) => shards.length)).toBe(16);
    expect(one.events.flatMap((event) => (event.type === 'skipped' ? [event.why] : []))).toEqual([
      'this replica owns no shards',
      'its last run works on all of the shards still',
    ]);
  });

  it('come back after an outage, without a hot loop', async () => {
    const troupe = new Troupe();
    const all = [await replica(troupe), await replica(troupe)];
    await troupe.until(() => String(counts(all)) === '8,8', 2 * TTL_MS);
    for (const { backend } of all) backend.plan = () => 'before';
    const before = all.map(({ backend }) => backend.calls.length);
    await troupe.clock.advance(60_000);
    expect(counts(all)).toEqual([0, 0]);
    all.forEach(({ backend }, index) =>
      expect(backend.calls.length - (before[index] ?? 0)).toBeLessThan(2_000),
    );
    for (const one of all) troupe.heal(one);
    await troupe.until(() => (map(all), counts(all).every((count) => count === 8)), 2 * TTL_MS);
  });

  it('are refused when two places disagree about them', async () => {
    const troupe = new Troupe();
    const one = await replica(troupe);
    expect(() => one.shards.join({ ...GROUP, shards: 8 })).toThrow(
      'The shards "imports" are 16 with a ttl of 2000 ms in one place and 8 with 2000 ms in another; say the same in both.',
    );
    expect(() => one.shards.owned('exports')).toThrow(/Nothing has joined the shards "exports"/);
    expect(() => one.shards.join({ group: 'x', shards: 0 })).toThrow(/shards of "x" is 0/);
  });
});
