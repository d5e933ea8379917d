import { describe, expect, it } from '@jest/globals';
import { LockError } from '../../lib/core/errors.js';
import type { Lease } from '../../lib/core/lease.js';
import type { Locks } from '../../lib/core/locks.js';
import type { LockOptions } from '../../lib/core/options.js';
import { Judge, EXCLUSIVE, type Share } from '../support/judge.js';
import { PATIENCE_MS, Rig } from '../support/rig.js';
import { dice, Weather, type Forecast } from '../support/weather.js';

const CALL_TIMEOUT_MS = 120;
const STEADY: Forecast = { latencyMs: 4, lost: 0, stray: 0, strayMs: 0, broken: 0, lostHints: 0 };
const ROUGH: Forecast = {
  latencyMs: 12,
  lost: 0.08,
  stray: 0.04,
  strayMs: 1_500,
  broken: 0.06,
  lostHints: 0.2,
};
const KEYS = ['a', 'b', 'c'];

interface Setting {
  readonly forecast: Forecast;
  readonly replicas: number;
  readonly actors: number;
  readonly forMs: number;
  /** Whether services are cut off for a while, and event loops blocked. */
  readonly storms: boolean;
  readonly frozen: boolean;
}

/** What one history showed. */
interface Finding {
  readonly problems: string[];
  readonly acquired: number;
}

/** Several services, callers who do anything at random, and a server at the end of a bad road. */
class Simulation {
  private readonly rig = new Rig();
  private readonly roll: () => number;
  private readonly judge: Judge;
  private readonly problems: string[] = [];
  private readonly services: { locks: Locks; weather: Weather }[] = [];
  private endMs = 0;

  constructor(
    seed: number,
    private readonly setting: Setting,
  ) {
    this.roll = dice(seed);
    this.judge = new Judge(this.rig.clock, setting.frozen);
    for (let n = 0; n < setting.replicas; n++) {
      const weather = new Weather(this.rig.clock, this.roll, setting.forecast);
      const { locks } = this.rig.replica({ between: weather.over, callTimeout: CALL_TIMEOUT_MS, ttl: 400 });
      this.services.push({ locks, weather });
    }
  }

  async run(): Promise<Finding> {
    const { clock } = this.rig;
    for (const { locks } of this.services) await locks.start();
    this.endMs = clock.now() + this.setting.forMs;
    const actors = Array.from({ length: this.setting.actors }, (_, n) =>
      this.act(this.services[n % this.services.length]!.locks),
    );
    if (this.setting.storms) actors.push(this.storm());
    await this.freezeAndAdvance();
    await this.rig.within(20_000, Promise.all(actors));
    await this.expectRest();
    await this.rig.close();
    return { problems: [...this.judge.violations, ...this.problems], acquired: this.judge.judged };
  }

  private async act(locks: Locks): Promise<void> {
    while (this.rig.clock.now() < this.endMs) {
      await this.rig.sleep(Math.ceil(this.roll() * 15));
      const abort = new AbortController();
      const { keys, options, share } = this.wish();
      if (this.roll() < 0.2) {
        this.rig.clock.setTimer(() => abort.abort(new LockError('aborted')), this.roll() * 100);
        Object.assign(options, { signal: abort.signal });
      }
      const waitMs = Number(options.wait);
      const lease = await this.timely('acquire', waitMs || CALL_TIMEOUT_MS * keys.length, () =>
        locks.acquire(keys, options),
      );
      if (lease) await this.hold(lease, share);
    }
  }

  private wish(): { keys: string[]; options: LockOptions; share: Share } {
    const any = (most: number): number => Math.floor(this.roll() * most);
    const ttl = [60, 150, 400, 1_000][any(4)]!;
    const wait = [0, 0, 20, 100, 400][any(5)]!;
    const renew = this.roll() < 0.8;
    const keys = this.roll() < 0.8 ? [KEYS[any(2)]!] : KEYS.slice(any(2), 2 + any(2));
    const kind = this.roll();
    // each key has a mode of its own most of the time
    if (kind < 0.1) return { keys, options: { ttl, wait, renew, mode: 'shared' }, share: shared };
    if (kind < 0.2) {
      const take = 1 + any(2);
      return {
        keys,
        options: { ttl, wait, renew, permits: 3, take },
        share: { mode: 'permits', take, of: 3 },
      };
    }
    return { keys, options: { ttl, wait, renew }, share: EXCLUSIVE };
  }

  private async hold(lease: Lease, share: Share): Promise<void> {
    this.judge.hold(lease, share);
    const doing = this.roll();
    await this.rig.sleep(Math.ceil(this.roll() * (doing < 0.1 ? 700 : 40)));
    if (doing > 0.8 && lease.held) {
      const ttl = this.roll() < 0.5 ? 50 : 900;
      const limitMs = 2 * CALL_TIMEOUT_MS * lease.keys.length;
      await this.timely('extend', limitMs, () => lease.extend(ttl));
      await this.rig.sleep(Math.ceil(this.roll() * 100));
    }
    this.judge.end(lease);
    await this.timely('release', 2 * CALL_TIMEOUT_MS, () => lease.release());
  }

  /** Cuts one service off, for longer than the leases last. */
  private async storm(): Promise<void> {
    while (this.rig.clock.now() < this.endMs) {
      await this.rig.sleep(Math.ceil(this.roll() * 600));
      const { weather } = this.services[Math.floor(this.roll() * this.services.length)]!;
      weather.storm = true;
      await this.rig.sleep(Math.ceil(this.roll() * 500));
      weather.storm = false;
    }
  }

  /** Lets the time go by, now and then in a leap, as for a process that was blocked. */
  private async freezeAndAdvance(): Promise<void> {
    const { clock } = this.rig;
    while (clock.now() < this.endMs) {
      await clock.advance(Math.min(100, this.endMs - clock.now()));
      if (this.setting.frozen && this.roll() < 0.2) clock.skip(Math.ceil(this.roll() * 500));
    }
  }

  /** Settles in time, or says why not; a leap of the clock is nobody's fault. */
  private async timely<T>(what: string, limitMs: number, call: () => Promise<T>): Promise<T | undefined> {
    const startMs = this.rig.clock.now();
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof LockError)) this.problems.push(`${what}: ${String(error)}`);
      return undefined;
    } finally {
      const tookMs = this.rig.clock.now() - startMs;
      if (tookMs > limitMs + PATIENCE_MS && !this.setting.frozen) {
        this.problems.push(`${what} took ${tookMs} ms instead of ${limitMs} ms`);
      }
    }
  }

  private async expectRest(): Promise<void> {
    await this.rig.clock.advance(6_000);
    for (const { locks } of this.services) {
      const { held, waiting, owed } = locks.gauges;
      if (held + waiting + owed > 0)
        this.problems.push(`left: ${held} held, ${waiting} waiting, ${owed} owed`);
    }
    const judge = this.rig.replica();
    for await (const { key } of judge.locks.list()) this.problems.push(`left on the server: ${key}`);
  }
}

const shared: Share = { mode: 'shared', take: 1, of: 0 };

const SETTINGS: [string, number, Setting][] = [
  [
    'fine weather',
    60,
    { forecast: STEADY, replicas: 3, actors: 8, forMs: 1_000, storms: false, frozen: false },
  ],
  [
    'rough weather',
    150,
    { forecast: ROUGH, replicas: 3, actors: 8, forMs: 1_500, storms: false, frozen: false },
  ],
  ['storms', 100, { forecast: ROUGH, replicas: 3, actors: 7, forMs: 1_500, storms: true, frozen: false }],
  [
    'blocked event loops',
    60,
    { forecast: ROUGH, replicas: 3, actors: 7, forMs: 1_500, storms: true, frozen: true },
  ],
];

/** To play one history again: `SEED=123 npm test -- simulation`; to play many: `SEEDS=5000 npm test -- simulation`. */
const { SEED, SEEDS } = process.env;

const LIMIT_MS = 600_000;

describe('a simulation', () => {
  it.each(SETTINGS)(
    '[6, 24, 26, 47] %s, %i seeds: no two holders, fences rise, all settle, nothing is left',
    async (_, seeds, setting) => {
      const found: Record<number, string[]> = {};
      let acquired = 0;
      const first = Number(SEED ?? 1);
      const count = SEED === undefined ? Number(SEEDS ?? seeds) : 1;
      for (let seed = first; seed < first + count; seed++) {
        const finding = await new Simulation(seed, setting).run();
        acquired += finding.acquired;
        if (finding.problems.length > 0) found[seed] = finding.problems;
      }
      expect(found).toEqual({});
      expect(acquired).toBeGreaterThan(20);
    },
    LIMIT_MS,
  );
});
