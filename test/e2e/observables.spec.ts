import { expect, test } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { BehaviorSubject, firstValueFrom, Observable, of, range, take, toArray } from 'rxjs';
import { Locked, LockModule, LockService } from 'nestjs-interlock';
import { closeLater } from '../support/http-app.js';
import { until } from '../support/gate.js';

@Injectable()
class Feed {
  readonly latest = new BehaviorSubject(1);

  @Locked('latest')
  watch(): Observable<number> {
    return this.latest;
  }

  @Locked('numbers')
  numbers(): Observable<number> {
    return range(0, Infinity);
  }

  @Locked('busy', { wait: 0, onBusy: async () => of('busy', 'still busy') })
  answers(): Observable<string> {
    return of('free');
  }
}

async function start() {
  const module = Test.createTestingModule({ imports: [LockModule.forRoot()], providers: [Feed] });
  const app = closeLater(await (await module.compile()).init());
  return { feed: app.get(Feed), locks: app.get(LockService) };
}

test('a listener who leaves at the first value, while the source is being subscribed to, frees the lock', async () => {
  const { feed, locks } = await start();
  expect(await firstValueFrom(feed.watch())).toBe(1);
  await until(() => locks.gauges.held === 0);
  expect(feed.latest.observed).toBe(false);
  expect(await locks.inspect('latest')).toBeNull();
});

test('and ends a source without end that never pauses', async () => {
  const { feed, locks } = await start();
  expect(await firstValueFrom(feed.numbers().pipe(take(3), toArray()))).toEqual([0, 1, 2]);
  await until(() => locks.gauges.held === 0);
});

test('an onBusy that takes its time to answer with an Observable is passed on', async () => {
  const { feed, locks } = await start();
  await locks.acquire('busy');
  expect(await firstValueFrom(feed.answers().pipe(toArray()))).toEqual(['busy', 'still busy']);
});
