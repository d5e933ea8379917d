import { describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { currentLease, Locked, LockKeyError, LockTimeoutError, type LockService } from 'nestjs-interlock';
import { BehaviorSubject, concat, firstValueFrom, NEVER, Observable, of, Subject, throwError } from 'rxjs';
import { toArray } from 'rxjs/operators';
import { failureOf, guardedApp, Room, turns } from '../support/guarded-app.js';

const held = async (locks: LockService, key = 'k'): Promise<boolean> => (await locks.inspect(key)) !== null;

describe('the result of a locked method', () => {
  it('[7] is what the body returned, plain or by a promise, and the lock is free then', async () => {
    @Injectable()
    class Seats {
      @Locked('k')
      plain(value: number): number | Promise<number> {
        return value + 1;
      }

      @Locked('k')
      async later(value: object): Promise<object> {
        await turns();
        return value;
      }
    }
    const { app, locks } = await guardedApp({ providers: [Seats] });
    const seats = app.get(Seats);
    const promise = seats.plain(1);
    expect(promise).toBeInstanceOf(Promise);
    expect(await promise).toBe(2);
    const value = {};
    expect(await seats.later(value)).toBe(value);
    expect(await held(locks)).toBe(false);
  });

  it('[7] is the very error that the body threw, and the lock is free then', async () => {
    const error = new Error('mine');
    @Injectable()
    class Seats {
      @Locked('k')
      plain(): Promise<void> | void {
        throw error;
      }

      @Locked('k')
      async later(): Promise<void> {
        await turns();
        throw error;
      }

      @Locked('k')
      odd(): Promise<void> | void {
        // oxlint-disable-next-line typescript/only-throw-error -- what users throw is theirs to choose
        throw 'a text';
      }
    }
    const { app, locks } = await guardedApp({ providers: [Seats] });
    const seats = app.get(Seats);
    expect(await failureOf(Promise.resolve(seats.plain()))).toBe(error);
    expect(await failureOf(seats.later())).toBe(error);
    expect(await failureOf(Promise.resolve(seats.odd()))).toBe('a text');
    expect(await held(locks)).toBe(false);
  });

  it('[7] stands when the release fails', async () => {
    @Injectable()
    class Seats {
      @Locked('k')
      async sell(): Promise<string> {
        return 'sold';
      }
    }
    const plan = { call: 1, method: 'release', fault: 'before', onward: true } as const;
    const { app, clock, events } = await guardedApp({ providers: [Seats] }, { plan });
    const result = app.get(Seats).sell();
    await clock.advance(5_000);
    expect(await result).toBe('sold');
    await clock.advance(60_000);
    expect(events.map(({ type }) => type)).toContain('release-failed');
  });
});

@Injectable()
class Feeds {
  source: Observable<unknown> = NEVER;
  readonly leases: unknown[] = [];

  @Locked('k')
  declared(): Observable<unknown> {
    this.leases.push(currentLease()?.key);
    return this.source;
  }

  @Locked('k', { onBusy: 'skip', wait: 0 })
  skipping(): Observable<unknown> {
    return this.source;
  }

  @Locked('k', { onBusy: () => Promise.resolve('busy'), wait: 0 })
  promising(): Observable<unknown> {
    return this.source;
  }

  @Locked('k', { onBusy: () => of('busy', 'still'), wait: 0 })
  streaming(): Observable<unknown> {
    return this.source;
  }

  @Locked('k', { onBusy: () => of('busy', 'still'), wait: 0 })
  async undeclaredStreaming(): Promise<Observable<unknown>> {
    return this.source;
  }

  @Locked('k')
  async undeclared(): Promise<Observable<unknown>> {
    this.leases.push(currentLease()?.key);
    return this.source;
  }

  @Locked('k:<id>')
  keyed(id: string): Observable<string> {
    return of(id);
  }
}

const collect = (source: Observable<unknown>): Promise<unknown[]> => firstValueFrom(source.pipe(toArray()));

describe('a locked method that is declared to return an Observable', () => {
  it('returns an Observable at once, and does nothing before it is subscribed to', async () => {
    const { app, locks } = await guardedApp({ providers: [Feeds] });
    const feeds = app.get(Feeds);
    expect(feeds.declared()).toBeInstanceOf(Observable);
    await turns();
    expect(feeds.leases).toEqual([]);
    expect(await held(locks)).toBe(false);
  });

  it('holds the lock from the subscription to the completion', async () => {
    const { app, locks } = await guardedApp({ providers: [Feeds] });
    const feeds = app.get(Feeds);
    const source = new Subject<number>();
    feeds.source = source;
    const all = collect(feeds.declared());
    await turns();
    expect(feeds.leases).toEqual(['k']);
    source.next(1);
    await turns();
    expect(await held(locks)).toBe(true);
    source.next(2);
    source.complete();
    expect(await all).toEqual([1, 2]);
    expect(await held(locks)).toBe(false);
  });

  it('gives the lock back before its subscriber hears of the completion', async () => {
    const { app, locks } = await guardedApp({ providers: [Feeds] });
    const feeds = app.get(Feeds);
    feeds.source = of(1);
    const gauges = await new Promise((resolve, reject) => {
      feeds.declared().subscribe({ complete: () => resolve(locks.gauges), error: reject });
    });
    expect(gauges).toMatchObject({ held: 0 });
  });

  it('gives the lock back when the source fails, and passes on the same error', async () => {
    const { app, locks } = await guardedApp({ providers: [Feeds] });
    const feeds = app.get(Feeds);
    const error = new Error('mine');
    feeds.source = concat(
      of(1),
      throwError(() => error),
    );
    expect(await failureOf(collect(feeds.declared()))).toBe(error);
    expect(await held(locks)).toBe(false);
  });

  it('gives the lock back when its subscriber leaves', async () => {
    const { app, locks } = await guardedApp({ providers: [Feeds] });
    const feeds = app.get(Feeds);
    let left = false;
    feeds.source = new Observable(() => () => void (left = true));
    const subscription = feeds.declared().subscribe();
    await turns();
    expect(await held(locks)).toBe(true);
    subscription.unsubscribe();
    expect(left).toBe(true);
    await turns();
    expect(await held(locks)).toBe(false);
  });

  it('gives the lock back when its subscriber leaves at a value that came with the subscription', async () => {
    const { app, locks } = await guardedApp({ providers: [Feeds] });
    const feeds = app.get(Feeds);
    const source = new BehaviorSubject('now');
    feeds.source = source;
    expect(await firstValueFrom(feeds.declared())).toBe('now');
    await turns();
    expect(source.observed).toBe(false);
    expect(await held(locks)).toBe(false);
  });

  it('takes the lock once for each subscription, one after the other', async () => {
    const { app, locks, events } = await guardedApp({ providers: [Feeds] });
    const feeds = app.get(Feeds);
    const sources = [new Subject(), new Subject()] as const;
    const result = feeds.declared();
    feeds.source = sources[0];
    const first = collect(result);
    const second = collect(result);
    await turns();
    expect([feeds.leases.length, locks.gauges]).toEqual([1, { held: 1, waiting: 1, owed: 0 }]);
    feeds.source = sources[1];
    sources[0].next('a');
    sources[0].complete();
    expect(await first).toEqual(['a']);
    await turns();
    expect([feeds.leases.length, locks.gauges]).toEqual([2, { held: 1, waiting: 0, owed: 0 }]);
    sources[1].next('b');
    sources[1].complete();
    expect(await second).toEqual(['b']);
    expect(events.filter(({ type }) => type === 'acquired')).toHaveLength(2);
  });

  it('[10] stops waiting when its subscriber leaves, and leaves nothing', async () => {
    const { app, locks, other, clock } = await guardedApp({ providers: [Feeds] });
    const feeds = app.get(Feeds);
    const lease = await other.acquire('k');
    const heard: unknown[] = [];
    const subscription = feeds
      .declared()
      .subscribe({ error: (error) => heard.push(error), complete: () => heard.push('complete') });
    await turns();
    expect(locks.gauges.waiting).toBe(1);
    subscription.unsubscribe();
    await turns();
    expect(locks.gauges).toEqual({ held: 0, waiting: 0, owed: 0 });
    await lease.release();
    await clock.advance(10_000);
    expect([feeds.leases, heard]).toEqual([[], []]);
    expect(await held(locks)).toBe(false);
  });

  it('[11] gives back a lock that is granted as its subscriber leaves', async () => {
    const { app, locks, backend } = await guardedApp({ providers: [Feeds] });
    const feeds = app.get(Feeds);
    for (let delay = 0; delay < 12; delay++) {
      const subscription = feeds.declared().subscribe();
      for (let tick = 0; tick < delay; tick++) await Promise.resolve();
      subscription.unsubscribe();
      await turns();
      expect([delay, locks.gauges]).toEqual([delay, { held: 0, waiting: 0, owed: 0 }]);
      expect(await held(locks)).toBe(false);
    }
    expect(backend.calls.filter(({ method }) => method === 'claim').length).toBeGreaterThan(0);
  });

  it('fails with LockTimeoutError when the key stays busy', async () => {
    const { app, other, clock } = await guardedApp({ providers: [Feeds] });
    const lease = await other.acquire('k');
    const failure = failureOf(collect(app.get(Feeds).declared()));
    await clock.advance(5_000);
    expect(await failure).toBeInstanceOf(LockTimeoutError);
    expect(app.get(Feeds).leases).toEqual([]);
    await lease.release();
  });

  it('emits undefined by onBusy skip, as a call resolves; a function answers by a promise or an Observable of its own', async () => {
    const { app, other } = await guardedApp({ providers: [Feeds] });
    const feeds = app.get(Feeds);
    const lease = await other.acquire('k');
    expect(await collect(feeds.skipping())).toEqual([undefined]);
    expect(await collect(feeds.promising())).toEqual(['busy']);
    expect(await collect(feeds.streaming())).toEqual(['busy', 'still']);
    await lease.release();
  });

  it('fails with LockKeyError when an argument makes no key', async () => {
    const { app } = await guardedApp({ providers: [Feeds] });
    const feeds = app.get(Feeds);
    expect(await collect(feeds.keyed('7'))).toEqual(['7']);
    expect(await failureOf(collect(feeds.keyed('')))).toBeInstanceOf(LockKeyError);
  });
});

describe('a locked method that returns an Observable without being declared to', () => {
  it('resolves with an Observable that holds the lock for its first subscriber', async () => {
    const { app, locks } = await guardedApp({ providers: [Feeds] });
    const feeds = app.get(Feeds);
    const source = new Subject<number>();
    feeds.source = source;
    const result = await feeds.undeclared();
    expect(feeds.leases).toEqual(['k']);
    expect(await held(locks)).toBe(true);
    const all = collect(result);
    await turns();
    expect(await held(locks)).toBe(true);
    source.next(1);
    source.complete();
    expect(await all).toEqual([1]);
    expect(await held(locks)).toBe(false);
  });

  it('answers a busy key by the Observable of onBusy, which needs no lock', async () => {
    const { app, other } = await guardedApp({ providers: [Feeds] });
    const lease = await other.acquire('k');
    const answer = await app.get(Feeds).undeclaredStreaming();
    expect(await collect(answer)).toEqual(['busy', 'still']);
    await lease.release();
  });
});

describe('onBusy', () => {
  const room = new Room();
  const seen: unknown[] = [];

  @Injectable()
  class Desk {
    @Locked('k', { wait: '100ms' })
    throwing(): Promise<string> {
      return room.visit('in');
    }

    @Locked('k', { wait: 0, onBusy: 'skip' })
    skipping(): Promise<string> {
      return room.visit('in');
    }

    @Locked('k', {
      wait: 0,
      onBusy: (busy) => {
        seen.push(busy);
        return 'busy';
      },
    })
    async answering(...words: string[]): Promise<string> {
      return room.visit(words.join(' '));
    }

    @Locked('k', { wait: 0, onBusy: async () => turns().then(() => 'later') })
    promising(): Promise<string> {
      return room.visit('in');
    }

    @Locked('k', {
      wait: 0,
      onBusy: () => {
        throw new RangeError('mine');
      },
    })
    failing(): Promise<string> {
      return room.visit('in');
    }
  }

  it('throws, skips, or answers by a function, and the body does not run', async () => {
    const { app, other, clock } = await guardedApp({ providers: [Desk] });
    const desk = app.get(Desk);
    const lease = await other.acquire('k');
    const thrown = failureOf(desk.throwing());
    await clock.advance(100);
    expect(await thrown).toMatchObject({
      name: 'LockTimeoutError',
      key: 'k',
      waitedMs: 100,
      holder: expect.stringContaining('other'),
    });
    expect(await desk.skipping()).toBeUndefined();
    expect(await desk.answering('a', 'b')).toBe('busy');
    expect(seen).toEqual([{ error: expect.any(LockTimeoutError), args: ['a', 'b'] }]);
    expect(await desk.promising()).toBe('later');
    expect(await failureOf(desk.failing())).toEqual(new RangeError('mine'));
    expect(room.visits).toEqual([]);
    await lease.release();
    expect(await desk.answering('a', 'b')).toBe('a b');
    expect(await desk.skipping()).toBe('in');
  });

  it('[58] does not take a LockTimeoutError of the body, or of a lock inside of it, for its own', async () => {
    const mine = new LockTimeoutError('mine', { key: 'x', waitedMs: 1 });

    @Injectable()
    class Nested {
      @Locked('outer', { onBusy: 'skip', wait: 0 })
      async throwing(): Promise<void> {
        throw mine;
      }

      @Locked('outer', { onBusy: () => 'busy', wait: 0 })
      async nesting(): Promise<unknown> {
        return this.inner();
      }

      @Locked('inner', { wait: 0 })
      async inner(): Promise<void> {}

      @Locked('outer', { onBusy: 'skip', wait: 0 })
      stream(): Observable<never> {
        return throwError(() => mine);
      }
    }
    const { app, other } = await guardedApp({ providers: [Nested] });
    const nested = app.get(Nested);
    expect(await failureOf(nested.throwing())).toBe(mine);
    expect(await failureOf(collect(nested.stream()))).toBe(mine);
    const lease = await other.acquire('inner');
    expect(await failureOf(nested.nesting())).toMatchObject({ name: 'LockTimeoutError', key: 'inner' });
    await lease.release();
  });
});
