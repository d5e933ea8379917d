import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { Claim, Grant, LockBackend, LockMode, Place } from '../../lib/backends/lock-backend.js';
import { busy, granted, RedisTrial, until } from '../support/redis-trial.js';

const FEW = 100;
const MANY = 1_000;
/** How often each step is measured; the middle one counts, because another process may run in between. */
const SAMPLES = 9;
const LIMIT_MS = 120_000;

/** What a step cost the server. */
interface Work {
  /** Commands, those inside of the script included. */
  readonly commands: number;
  readonly timeUs: number;
}

type Step = (nth: number) => Promise<unknown>;

describe('the line on a Redis server', () => {
  let trial: RedisTrial;
  let backend: LockBackend;
  beforeAll(async () => {
    trial = await RedisTrial.open();
  });
  afterEach(() => trial.clear());
  afterAll(() => trial.close());

  const wishes: Record<LockMode, Partial<Claim>> = {
    exclusive: {},
    shared: { mode: 'shared' },
    permits: { mode: 'permits', take: 1, of: 20_000 },
  };

  it.each(['exclusive', 'shared', 'permits'] as const)(
    '[15] costs a step no more for a thousand places than for a hundred (%s)',
    async (mode) => {
      const few = await workByStep(mode, FEW);
      const many = await workByStep(mode, MANY);
      expect([...many.keys()]).toEqual([...few.keys()]);
      for (const [step, { commands, timeUs }] of many) {
        const less = few.get(step)!;
        expect([step, commands, commands <= 2 * less.commands + 10]).toEqual([step, commands, true]);
        expect([step, timeUs, less.timeUs, timeUs <= 4 * less.timeUs + 500]).toEqual([
          step,
          timeUs,
          less.timeUs,
          true,
        ]);
      }
    },
    LIMIT_MS,
  );

  /** A lock that is held, with so many places in its line; what each step on it costs. */
  async function workByStep(mode: LockMode, places: number): Promise<Map<string, Work>> {
    ({ backend } = await trial.connect());
    const wish = wishes[mode];
    const holder = await granted(backend, trial.claim({ ttlMs: 60_000 }));
    const claims = Array.from({ length: places }, () => trial.claim({ ...wish, queue: true }));
    const line: Place[] = [];
    for (let at = 0; at < places; at += 500) {
      line.push(...(await Promise.all(claims.slice(at, at + 500).map((claim) => busy(backend, claim)))));
      await backend.stay?.(claims.slice(0, at + 500));
    }
    const last = line.length - 1;
    const steps: [string, Step][] = [
      ['a newcomer without a place', () => busy(backend, trial.claim(wish))],
      ['a newcomer', () => busy(backend, trial.claim({ ...wish, queue: true }))],
      ['the last asks', (nth) => line[last - nth]!.retry()],
      ['the first asks', (nth) => line[nth]!.retry()],
      ['one in the middle leaves', (nth) => backend.abandon(claims[places / 2 + nth]!)],
      ['one who never came leaves', () => backend.abandon(trial.claim({ ...wish, queue: true }))],
      ['a look', () => backend.inspect('trial:key')],
      ['a renewal', () => backend.renew([holder])],
    ];
    const work = new Map<string, Work>();
    for (const [name, step] of steps) work.set(name, await measured(claims, step));
    work.set('the release', await measured(claims, () => backend.release(holder), 1));
    work.set('the last asks when it is open', await measured(claims, (nth) => line[last - nth]!.retry()));
    work.set(
      'a newcomer when it is open',
      await measured(claims, () => busy(backend, trial.claim({ ...wish, queue: true }))),
    );
    const firsts: unknown[] = [];
    const enter = async (nth: number): Promise<void> => void firsts.push(await line[nth]!.retry());
    work.set('the first ones come in', await measured(claims, enter, mode === 'exclusive' ? 1 : SAMPLES));
    for (const one of firsts) expect(one).toHaveProperty('fence');
    const leave: Step = (nth) => backend.release(firsts[nth] as Grant);
    work.set('they leave', await measured(claims, leave, firsts.length));
    work.set('an eviction', await measured(claims, () => backend.evict('trial:key')));
    await trial.clear();
    return work;
  }

  /** Everybody shows life before each step: else it would have to bury them. */
  async function measured(claims: readonly Claim[], step: Step, samples = SAMPLES): Promise<Work> {
    const works: Work[] = [];
    for (let nth = 0; nth < samples; nth++) {
      await backend.stay?.(claims);
      await trial.admin.config('RESETSTAT');
      await step(nth);
      works.push(await workSoFar());
    }
    return works.sort((a, b) => a.timeUs - b.timeUs)[Math.floor(works.length / 2)]!;
  }

  async function workSoFar(): Promise<Work> {
    const stats = await trial.admin.info('commandstats');
    let commands = 0;
    let timeUs = 0;
    for (const [, name, calls, usec] of stats.matchAll(/cmdstat_(\S+):calls=(\d+),usec=(\d+)/g)) {
      if (name === 'evalsha') timeUs += Number(usec);
      else if (!name!.startsWith('config') && name !== 'info') commands += Number(calls);
    }
    return { commands, timeUs };
  }

  it('[39] lets a crowd of readers in by hints alone, whoever of them asks first', async () => {
    ({ backend } = await trial.connect());
    const writer = await granted(backend, trial.claim());
    const readers: Place[] = [];
    for (let n = 0; n < 300; n++)
      readers.push(await busy(backend, trial.claim({ mode: 'shared', queue: true })));
    const inside = new Set<Place>();
    const told: Place[] = [];
    for (const place of readers) place.onHint(() => void told.push(place));
    await backend.release(writer);
    while (inside.size < readers.length) {
      await until(() => told.length > 0, `a hint for more than ${inside.size} of them`);
      // the last one who was told asks first
      for (let place = told.pop(); place; place = told.pop())
        if ('fence' in (await place.retry())) inside.add(place);
    }
    expect((await backend.inspect('trial:key'))?.holders).toHaveLength(300);
  });

  it('[37] buries a crowd that died in the line a part at a time, and goes on with the next', async () => {
    ({ backend } = await trial.connect());
    const holder = await granted(backend, trial.claim());
    const dead = Array.from({ length: 1_000 }, () => trial.claim({ queue: true }));
    await Promise.all(dead.map((claim) => busy(backend, claim)));
    const claim = trial.claim({ queue: true });
    const next = await busy(backend, claim);
    await backend.release(holder);
    const freedMs = performance.now();
    let answer: Grant | Place = next;
    await until(async () => {
      if ((await backend.stay?.([claim]))?.[0]) answer = await next.retry();
      return 'fence' in answer;
    }, 'the turn of the one behind them');
    expect(performance.now() - freedMs).toBeLessThan(2_500);
    expect((await backend.inspect('trial:key'))?.waiting).toBe(0);
  });
});
