import { describe, expect, it } from '@jest/globals';
import { Controller, Injectable, Post } from '@nestjs/common';
import { currentLease, Locked } from 'nestjs-interlock';
import { defer, lastValueFrom, Observable, of, Subject, take } from 'rxjs';
import { guardedApp, turns } from '../support/guarded-app.js';

/** None of these says what it returns, so nobody knows it before the call. */
@Injectable()
class Shop {
  readonly calls: string[] = [];
  source: Observable<string> = of('sold');
  sold = false;

  @Locked('k')
  sell() {
    if (this.sold) throw new Error('sold out');
    return new Observable<string>((subscriber) => {
      this.sold = true;
      subscriber.next('sold');
      subscriber.complete();
    });
  }

  @Locked('k')
  watch() {
    this.calls.push(currentLease()?.key ?? 'unlocked');
    return this.source;
  }
}

@Controller()
class ShopController {
  constructor(private readonly shop: Shop) {}

  @Post('seats')
  @Locked('k', { reentrant: false })
  sell() {
    if (this.shop.sold) throw new Error('sold out');
    return new Observable<string>((subscriber) => {
      this.shop.sold = true;
      subscriber.next('sold');
      subscriber.complete();
    });
  }
}

/** What the compiler takes for an Observable is a Promise of one. */
async function made(result: unknown): Promise<Observable<string>> {
  return (await result) as Observable<string>;
}

describe('an Observable that nobody knew of before the call', () => {
  it('works under the very lock under which the method made it', async () => {
    const { app } = await guardedApp({ providers: [Shop] });
    const shop = app.get(Shop);
    const buy = async (): Promise<string> => lastValueFrom(await made(shop.sell()));
    const results = await Promise.allSettled([buy(), buy(), buy()]);
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected', 'rejected']);
  });

  it('[35] shares that lock with what its work acquires', async () => {
    const { app, locks } = await guardedApp({ providers: [Shop] });
    const shop = app.get(Shop);
    shop.source = defer(() =>
      locks.using('k', { wait: 0 }, ({ fence }) => `${currentLease()?.key} ${fence}`),
    );
    expect(await lastValueFrom(await made(shop.watch()))).toBe('k 1');
  });

  it('does so as the result of an HTTP handler', async () => {
    const { app } = await guardedApp({ providers: [Shop], controllers: [ShopController] });
    await app.listen(0, '127.0.0.1');
    const url = `${await app.getUrl()}/seats`;
    const buy = async (): Promise<string> => (await fetch(url, { method: 'POST' })).statusText;
    expect((await Promise.all([buy(), buy(), buy()])).sort()).toEqual([
      'Created',
      'Internal Server Error',
      'Internal Server Error',
    ]);
  });

  it('frees the key when it completes, fails, or is left', async () => {
    const { app, other } = await guardedApp({ providers: [Shop] });
    const shop = app.get(Shop);
    const isFree = async (): Promise<boolean> => (await (await other.tryAcquire('k'))?.release()) ?? false;
    for (const end of ['complete', 'error', 'unsubscribe'] as const) {
      const source = new Subject<string>();
      shop.source = source;
      const subscription = (await made(shop.watch())).subscribe({ error: () => undefined });
      expect(await isFree()).toBe(false);
      if (end === 'complete') source.complete();
      if (end === 'error') source.error(new Error('planned'));
      if (end === 'unsubscribe') subscription.unsubscribe();
      await turns();
      expect(await isFree()).toBe(true);
    }
    shop.source = of('a', 'b');
    expect(await lastValueFrom((await made(shop.watch())).pipe(take(1)))).toBe('a');
    await turns();
    expect(await isFree()).toBe(true);
  });

  it('makes the call anew, under a lock of its own, for each further subscription', async () => {
    const { app } = await guardedApp({ providers: [Shop] });
    const shop = app.get(Shop);
    const stream = await made(shop.watch());
    expect(await lastValueFrom(stream)).toBe('sold');
    expect(await lastValueFrom(stream)).toBe('sold');
    expect(shop.calls).toEqual(['k', 'k']);
  });

  it('gives its lock back after a second in which nobody subscribes, and makes the call anew for who comes late', async () => {
    const { app, clock, locks } = await guardedApp({ providers: [Shop] });
    const shop = app.get(Shop);
    const stream = await made(shop.watch());
    await clock.advance(999);
    expect(locks.gauges.held).toBe(1);
    await clock.advance(1);
    expect(locks.gauges.held).toBe(0);
    expect(await lastValueFrom(stream)).toBe('sold');
    expect(shop.calls).toEqual(['k', 'k']);
  });

  it('is not waited for when its lock is lost', async () => {
    const { app, clock, locks } = await guardedApp({ providers: [Shop] });
    const stream = await made(app.get(Shop).watch());
    await locks.forceRelease('k');
    await clock.settle();
    expect(locks.gauges.held).toBe(0);
    expect(await lastValueFrom(stream)).toBe('sold');
  });
});
