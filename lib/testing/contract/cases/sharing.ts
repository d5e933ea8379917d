import assert from 'node:assert/strict';
import { cases } from '../contract-case.js';
import { expectGrant, expectPlace, type Trial } from '../trial.js';

async function readersTogether(t: Trial): Promise<void> {
  const readers = [];
  for (let n = 0; n < 5; n++) readers.push(await t.granted(t.claim('shared')));
  await t.busy(t.claim('exclusive'));
  for (const reader of readers.slice(1)) await t.backend.release(reader);
  await t.busy(t.claim('exclusive'));
  await t.backend.release(readers[0] ?? assert.fail());
  const writer = await t.granted(t.claim('exclusive'));
  await t.busy(t.claim('shared'));
  await t.busy(t.claim('exclusive'));
  await t.backend.release(writer);
  await t.granted(t.claim('shared'));
}

async function writerHoldsBackReaders(t: Trial): Promise<void> {
  const reader = await t.granted(t.claim('shared'));
  const writer = await t.queued('exclusive');
  await t.busy(t.claim('shared'));
  const late = await t.queued('shared');
  expectPlace(await late.retry());
  await t.backend.release(reader);
  expectPlace(await late.retry());
  const grant = expectGrant(await writer.retry());
  await t.backend.release(grant);
  expectGrant(await late.retry());
}

async function leavingWriterLetsReadersIn(t: Trial): Promise<void> {
  await t.granted(t.claim('shared'));
  const writer = t.claim('exclusive', { queue: true });
  await t.busy(writer);
  const reader = await t.queued('shared');
  const hints = t.listen(reader);
  await t.backend.abandon(writer);
  await t.hinted(hints, 'the reader whom the writer held back');
  expectGrant(await reader.retry());
}

async function wakesAllReadersAtTheHead(t: Trial): Promise<void> {
  const writer = await t.granted(t.claim('exclusive'));
  const places = [];
  for (const mode of ['shared', 'shared', 'shared', 'exclusive', 'shared'] as const) {
    const place = await t.queued(mode);
    places.push({ place, hints: t.listen(place) });
  }
  await t.backend.release(writer);
  for (const { hints } of places.slice(0, 3)) await t.hinted(hints, 'a reader at the head of the line');
  await t.quiet();
  const counts = places.map(({ hints }) => hints.count);
  assert.deepEqual(counts, [1, 1, 1, 0, 0], 'the readers at the head are woken, and nobody behind them');
  const [first, second, third, next, last] = places.map(({ place }) => place);
  assert(first && second && third && next && last);
  // in any order: they come in together
  for (const reader of [third, first, second]) expectGrant(await reader.retry());
  expectPlace(await last.retry());
  expectPlace(await next.retry());
}

async function deadReaderChangesNothing(t: Trial): Promise<void> {
  await t.granted(t.claim('shared', { ttlMs: t.shortTtlMs }));
  const alive = await t.granted(t.claim('shared'));
  await t.expire();
  await t.busy(t.claim('exclusive'));
  const { holders } = await t.snapshot();
  assert.deepEqual(
    holders.map(({ owner }) => owner),
    [alive.claim.owner],
    'the dead reader is gone',
  );
  await t.backend.release(alive);
  await t.expectFree();
}

async function renewalProlongsNobodyElse(t: Trial): Promise<void> {
  const dead = await t.granted(t.claim('shared', { ttlMs: t.shortTtlMs }));
  const alive = await t.granted(t.claim('shared'));
  assert.deepEqual(await t.backend.renew([alive]), ['renewed']);
  await t.expire();
  assert.deepEqual(await t.backend.renew([dead, alive]), ['gone', 'renewed']);
  await t.backend.release(alive);
  await t.expectFree();
}

async function neitherStarves(t: Trial): Promise<void> {
  const backends = [t.backend, (await t.connect()).backend];
  const inside = { readers: 0, writers: 0 };
  let together = 0;
  const visit = async (mode: 'shared' | 'exclusive', n: number): Promise<void> => {
    const who = mode === 'shared' ? 'readers' : 'writers';
    const backend = backends[n % 2] ?? t.backend;
    for (let round = 0; round < 10; round++) {
      const grant = await t.acquire(t.claim(mode, { queue: true }), backend);
      inside[who]++;
      assert(inside.writers === 0 || (inside.writers === 1 && inside.readers === 0), 'a writer is alone');
      together = Math.max(together, inside.readers);
      await t.sleep(2);
      inside[who]--;
      await backend.release(grant);
    }
  };
  const readers = [0, 1, 2, 3].map((n) => visit('shared', n));
  const writers = [0, 1].map((n) => visit('exclusive', n));
  await t.drive(Promise.all([...readers, ...writers]), 'all readers and writers');
  assert(together > 1, 'readers were in together');
}

async function modesNeverMix(t: Trial): Promise<void> {
  const modes = ['exclusive', 'shared', 'permits'] as const;
  for (const held of modes) {
    const grant = await t.granted(t.claim(held, held === 'permits' ? { of: 5 } : {}));
    for (const wanted of modes) {
      if (wanted !== held) await t.busy(t.claim(wanted, wanted === 'permits' ? { of: 5 } : {}));
    }
    await t.backend.release(grant);
    for (const wanted of modes) await t.backend.release(await t.granted(t.claim(wanted)));
  }
}

const both = ['exclusive', 'shared'] as const;

export const sharing = cases('sharing', [
  {
    id: 'readers-together',
    lines: [39],
    title: 'lets readers in together, and a writer alone',
    modes: both,
    run: readersTogether,
  },
  {
    id: 'writer-holds-back',
    lines: [39],
    title: 'holds back new readers while a writer waits',
    modes: both,
    wakeUp: ['queue'],
    run: writerHoldsBackReaders,
  },
  {
    id: 'writer-leaves',
    lines: [13, 39],
    title: 'lets in the readers behind a writer who leaves',
    modes: both,
    wakeUp: ['queue'],
    run: leavingWriterLetsReadersIn,
  },
  {
    id: 'readers-woken',
    lines: [41],
    title: "wakes all waiting readers at a writer's release, up to the next writer",
    modes: both,
    wakeUp: ['queue'],
    run: wakesAllReadersAtTheHead,
  },
  {
    id: 'dead-reader',
    lines: [41],
    title: 'frees nothing for the others when one reader dies',
    modes: both,
    run: deadReaderChangesNothing,
  },
  {
    id: 'reader-renewal',
    lines: [41],
    title: 'prolongs no other reader by a renewal',
    modes: both,
    run: renewalProlongsNobodyElse,
  },
  {
    id: 'readers-writers',
    lines: [6, 39],
    title: 'starves neither readers nor writers',
    modes: both,
    run: neitherStarves,
  },
  {
    id: 'modes-apart',
    lines: [39, 42],
    title: 'never lets holders of different modes in together',
    modes: ['exclusive', 'shared', 'permits'],
    run: modesNeverMix,
  },
]);
