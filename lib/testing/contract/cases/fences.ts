import assert from 'node:assert/strict';
import type { Grant, LockMode } from '../../../backends/lock-backend.js';
import { cases } from '../contract-case.js';
import type { Trial } from '../trial.js';

function rises(grants: readonly Grant[]): void {
  const fences = grants.map(({ fence }) => fence);
  const risen = fences.every((fence, n) => n === 0 || fence > (fences[n - 1] ?? 0n));
  assert(risen, `fences rise strictly: ${fences.join(', ')}`);
}

async function overReleases(mode: LockMode, t: Trial): Promise<void> {
  const grants: Grant[] = [];
  for (let n = 0; n < 20; n++) {
    const grant = await t.granted(t.claim(mode));
    grants.push(grant);
    assert.equal(await t.backend.release(grant), 'released');
  }
  rises(grants);
}

async function overEveryEnd(t: Trial): Promise<void> {
  const grants: Grant[] = [];
  for (let round = 0; round < 3; round++) {
    const released = await t.granted(t.claim());
    await t.backend.release(released);
    const evicted = await t.granted(t.claim());
    await t.backend.evict(t.key);
    const abandoned = await t.granted(t.claim());
    await t.backend.abandon(abandoned.claim);
    const expired = await t.granted(t.claim('exclusive', { ttlMs: t.shortTtlMs }));
    await t.expire();
    grants.push(released, evicted, abandoned, expired);
  }
  rises(grants);
}

async function amongHolders(t: Trial): Promise<void> {
  const grants: Grant[] = [];
  for (let n = 0; n < 5; n++) grants.push(await t.granted(t.claim('shared')));
  rises(grants);
}

async function amongPermits(t: Trial): Promise<void> {
  const grants: Grant[] = [];
  for (let n = 0; n < 5; n++) grants.push(await t.granted(t.claim('permits', { of: 5 })));
  rises(grants);
}

async function overModes(t: Trial): Promise<void> {
  const grants: Grant[] = [];
  for (const mode of ['exclusive', 'shared', 'permits', 'shared', 'exclusive'] as const) {
    const grant = await t.granted(t.claim(mode));
    grants.push(grant);
    await t.backend.release(grant);
  }
  rises(grants);
}

async function overClients(t: Trial): Promise<void> {
  const grants: Grant[] = [];
  const other = await t.connect();
  for (let n = 0; n < 10; n++) {
    const backend = n % 2 === 0 ? t.backend : other.backend;
    const grant = await t.granted(t.claim(), backend);
    grants.push(grant);
    await backend.release(grant);
  }
  await other.backend.stop();
  grants.push(await t.granted(t.claim(), (await t.connect()).backend));
  rises(grants);
}

async function overTheLine(t: Trial): Promise<void> {
  const grants: Grant[] = [await t.granted(t.claim())];
  const places = [];
  for (let n = 0; n < 5; n++) places.push(await t.queued());
  for (const place of places) {
    await t.backend.release(grants.at(-1) ?? assert.fail());
    grants.push(await t.drive(t.waitFor(place), 'the next turn'));
  }
  rises(grants);
}

export const fences = cases('fences', [
  { id: 'fence', lines: [47], title: 'raises the fence from holder to holder', runIn: overReleases },
  {
    id: 'fence-ends',
    lines: [47],
    title: 'raises the fence over release, eviction, abandonment and expiry',
    run: overEveryEnd,
  },
  {
    id: 'fence-readers',
    lines: [47],
    title: 'gives readers who are in together a fence each',
    modes: ['shared'],
    run: amongHolders,
  },
  {
    id: 'fence-permits',
    lines: [47],
    title: 'gives permit holders a fence each',
    modes: ['permits'],
    run: amongPermits,
  },
  {
    id: 'fence-modes',
    lines: [47],
    title: 'raises the fence when the mode changes',
    modes: ['exclusive', 'shared', 'permits'],
    run: overModes,
  },
  {
    id: 'fence-clients',
    lines: [47],
    title: 'raises the fence over clients that come and go',
    run: overClients,
  },
  { id: 'fence-line', lines: [36, 47], title: 'raises the fence in the order of the line', run: overTheLine },
]);
