import { describe, expect, it } from '@jest/globals';
import { Controller, Get, Inject, Injectable, Module, Param, Scope } from '@nestjs/common';
import { ContextIdFactory, ModuleRef, REQUEST } from '@nestjs/core';
import { currentLease, InjectLocks, Locked, LockModule, memory, type LockService } from 'nestjs-interlock';
import { ManualClock } from 'nestjs-interlock/testing';
import { failureOf, guardedApp, Room, turns, type GuardedApp } from '../support/guarded-app.js';

const acquired = ({ events }: GuardedApp): string[] =>
  events.flatMap((event) => (event.type === 'acquired' ? [event.key] : []));

describe('[57] a locked method works in', () => {
  it('request-scoped providers and controllers', async () => {
    const room = new Room();
    @Injectable({ scope: Scope.REQUEST })
    class Cart {
      constructor(@Inject(REQUEST) private readonly request: { url: string }) {}

      @Locked('cart:<id>')
      fill(id: string): Promise<string> {
        return room.visit(`${id} by ${this.request.url}`);
      }
    }
    @Controller()
    class Carts {
      constructor(private readonly cart: Cart) {}

      @Get(':id')
      @Locked('request:<id>')
      fill(@Param('id') id: string): Promise<string> {
        return this.cart.fill(id);
      }
    }
    const started = await guardedApp({ controllers: [Carts], providers: [Cart] });
    await started.app.listen(0, '127.0.0.1');
    const url = await started.app.getUrl();
    const answers = await Promise.all([1, 2].map(async () => (await fetch(`${url}/7`)).text()));
    expect([answers, room.most]).toEqual([['7 by /7', '7 by /7'], 1]);
    expect(acquired(started)).toEqual(['request:7', 'cart:7', 'request:7', 'cart:7']);
  });

  it('transient providers, and instances that ModuleRef makes', async () => {
    const room = new Room();
    @Injectable({ scope: Scope.TRANSIENT })
    class Worker {
      @Locked('work')
      work(): Promise<unknown> {
        return room.visit(this);
      }
    }
    @Injectable()
    class Owner {
      constructor(
        readonly one: Worker,
        readonly two: Worker,
        readonly modules: ModuleRef,
      ) {}
    }
    @Injectable()
    class SecondOwner {
      constructor(readonly three: Worker) {}
    }
    const { app } = await guardedApp({ providers: [Owner, SecondOwner, Worker] });
    const { one, two, modules } = app.get(Owner);
    const { three } = app.get(SecondOwner);
    const four = await modules.create(Worker);
    const five = await modules.resolve(Worker, ContextIdFactory.create());
    const workers = [one, two, three, four, five];
    expect(await Promise.all(workers.map((worker) => worker.work()))).toEqual(workers);
    expect([room.most, new Set(room.visits).size]).toEqual([1, new Set(workers).size]);
    expect(new Set(workers).size).toBeGreaterThanOrEqual(4);
  });

  it('two providers of one class', async () => {
    const room = new Room();
    @Injectable()
    class Worker {
      @Locked('work')
      work(): Promise<unknown> {
        return room.visit(this);
      }
    }
    const { app } = await guardedApp({
      providers: [Worker, { provide: 'second', useClass: Worker }, { provide: 'alias', useExisting: Worker }],
    });
    const workers = [app.get(Worker), app.get<Worker>('second'), app.get<Worker>('alias')];
    await Promise.all(workers.map((worker) => worker.work()));
    expect([room.most, room.visits]).toEqual([1, workers]);
    expect(workers[1]).not.toBe(workers[0]);
  });

  it('subclasses that inherit it, add to it, and override it', async () => {
    const room = new Room();
    @Injectable()
    class Base {
      @Locked('base:<id>')
      inherited(id: string): Promise<unknown> {
        return room.visit(id);
      }

      @Locked('base:<id>')
      async overridden(id: string): Promise<string[]> {
        await room.visit(id);
        return [`base ${currentLease()?.key}`];
      }

      @Locked('base:<id>')
      async bare(id: string): Promise<string> {
        return `base ${id}`;
      }
    }
    @Injectable()
    class Plain extends Base {}
    @Injectable()
    class Derived extends Base {
      @Locked('added:<0>')
      added(id: string): Promise<unknown> {
        return room.visit(id);
      }

      @Locked('derived:<name>')
      override async overridden(name: string): Promise<string[]> {
        return [...(await super.overridden(name)), `derived ${currentLease()?.key}`];
      }

      override async bare(id: string): Promise<string> {
        return `derived ${currentLease()?.key ?? 'unlocked'} ${id}`;
      }
    }
    @Injectable()
    class Further extends Derived {
      @Locked('further', { locks: 'billing' })
      further(): Promise<unknown> {
        return room.visit('further');
      }
    }
    const clock = new ManualClock(10_000);
    const billing = LockModule.forRoot({ name: 'billing', backend: memory(), clock });
    const started = await guardedApp(
      { imports: [billing], providers: [Base, Plain, Derived, Further] },
      { clock },
    );
    const { app } = started;
    for (const type of [Base, Plain, Derived, Further]) await app.get(type).inherited(type.name);
    expect(acquired(started)).toEqual(['base:Base', 'base:Plain', 'base:Derived', 'base:Further']);
    expect(await app.get(Derived).overridden('x')).toEqual(['base base:x', 'derived derived:x']);
    expect(await app.get(Further).overridden('y')).toEqual(['base base:y', 'derived derived:y']);
    expect(acquired(started).slice(4)).toEqual(['derived:x', 'base:x', 'derived:y', 'base:y']);
    expect(await app.get(Derived).bare('z')).toBe('derived unlocked z');
    await app.get(Further).further();
    expect(await app.get(Derived).added('a')).toBe('a');
    expect(acquired(started).slice(8)).toEqual(['added:a']);
  });

  it('methods whose name is a symbol, and several locks on one method', async () => {
    const room = new Room();
    const sell = Symbol('sell');
    @Injectable()
    class Seats {
      @Locked('seat:<id>')
      [sell](id: string): Promise<string> {
        return room.visit(id);
      }

      @Locked('outer:<id>')
      @Locked('middle:<id>:<other>')
      @Locked(['inner:<other>', 'also:<1>'])
      many(id: string, other: number): Promise<string> {
        return room.visit(`${id}${other}`);
      }
    }
    const started = await guardedApp({ providers: [Seats] });
    const seats = started.app.get(Seats);
    await Promise.all([seats[sell]('1'), seats[sell]('1')]);
    expect([room.most, acquired(started)]).toEqual([1, ['seat:1', 'seat:1']]);
    expect(await failureOf(seats[sell](''))).toMatchObject({
      message: expect.stringContaining('Seats[Symbol(sell)]'),
    });
    await seats.many('a', 2);
    expect(acquired(started).slice(2)).toEqual(['outer:a', 'middle:a:2', 'also:2', 'inner:2']);
    const released = started.events.flatMap((event) => (event.type === 'released' ? [event.key] : []));
    expect(released.slice(2)).toEqual(['inner:2', 'also:2', 'middle:a:2', 'outer:a']);
    expect(await failureOf(seats.many('a', NaN))).toMatchObject({ name: 'LockKeyError' });
    expect(room.visits).toEqual(['1', '1', 'a2']);
  });

  it('two applications of one process, which know nothing of each other', async () => {
    const room = new Room();
    @Injectable()
    class Seats {
      @Locked('k')
      sell(): Promise<unknown> {
        return room.stay(this);
      }
    }
    const one = await guardedApp({ providers: [Seats] });
    const two = await guardedApp({ providers: [Seats] });
    const sales = [one.app.get(Seats).sell(), two.app.get(Seats).sell(), one.app.get(Seats).sell()];
    await turns();
    expect([room.inside, one.locks.gauges.waiting, two.locks.gauges.waiting]).toEqual([2, 1, 0]);
    await two.app.close();
    room.open();
    await turns();
    expect(room.inside).toBe(1);
    room.open();
    await Promise.all(sales);
    expect(room.visits).toEqual([one.app.get(Seats), two.app.get(Seats), one.app.get(Seats)]);
  });

  it('modules with lock services by name', async () => {
    const room = new Room();
    @Injectable()
    class Seats {
      constructor(
        @InjectLocks('billing') readonly billing: LockService,
        @InjectLocks() readonly usual: LockService,
      ) {}

      @Locked('k')
      sell(): Promise<string> {
        return room.stay('sell');
      }

      @Locked('k', { locks: 'billing' })
      bill(): Promise<string> {
        return room.stay('bill');
      }

      @Locked('k', { locks: 'billing' })
      @Locked('k')
      both(): Promise<string> {
        return room.visit('both');
      }
    }
    const clock = new ManualClock(10_000);
    @Module({ imports: [LockModule.forRoot({ name: 'billing', backend: memory(), clock })] })
    class BillingModule {}
    const { app, locks } = await guardedApp({ imports: [BillingModule], providers: [Seats] }, { clock });
    const seats = app.get(Seats);
    expect(seats.usual).toBe(locks);
    expect(seats.billing).not.toBe(locks);
    const calls = [seats.sell(), seats.bill()];
    await turns();
    expect([room.inside, seats.usual.gauges.held, seats.billing.gauges.held]).toEqual([2, 1, 1]);
    room.open();
    await Promise.all(calls);
    // one of them is no re-entry into the other
    expect(await seats.both()).toBe('both');
    expect([seats.usual.gauges.held, seats.billing.gauges.held]).toEqual([0, 0]);
  });

  it('instances that are printed, copied and compared: the service is no visible property', async () => {
    @Injectable()
    class Seats {
      readonly rows = 3;

      @Locked('k')
      async sell(): Promise<void> {}
    }
    const { app } = await guardedApp({ providers: [Seats] });
    const seats = app.get(Seats);
    expect([JSON.stringify(seats), Object.assign({}, seats)]).toEqual(['{"rows":3}', { rows: 3 }]);
    expect(seats).toEqual(new Seats());
  });
});

describe('locked methods that call each other', () => {
  const room = new Room();
  const tokens: unknown[] = [];

  @Injectable()
  class Seats {
    @Locked('seat:<id>')
    async outer(id: string): Promise<void> {
      tokens.push(currentLease()?.fence);
      await this.inner(id);
      tokens.push(currentLease()?.fence);
      await room.visit(id);
    }

    @Locked('seat:<id>')
    async inner(id: string): Promise<string> {
      tokens.push(currentLease()?.fence);
      return id;
    }

    @Locked('seat:<id>', { mode: 'shared' })
    async upgrading(id: string): Promise<void> {
      await this.inner(id);
    }

    @Locked('seat:<id>')
    async escaping(id: string): Promise<{ later: Promise<unknown> }> {
      // not awaited: it goes on after the lock has been given back
      return { later: turns(5).then(async () => [currentLease(), await failureOf(this.once(id))]) };
    }

    @Locked('seat:<id>', { wait: 0 })
    async once(id: string): Promise<string> {
      return id;
    }
  }

  it('[34, 35] re-enter with the same fence, and free the key at the last end', async () => {
    tokens.length = 0;
    const { app, locks, events } = await guardedApp({ providers: [Seats] });
    await app.get(Seats).outer('1');
    expect(new Set(tokens).size).toBe(1);
    expect([tokens.length, typeof tokens[0]]).toEqual([3, 'bigint']);
    expect(events.map(({ type }) => type)).toEqual(['acquired', 'reentered', 'released']);
    expect(await locks.inspect('seat:1')).toBeNull();
    expect(currentLease()).toBeUndefined();
  });

  it('[34] two calls at once never share', async () => {
    const { app, events } = await guardedApp({ providers: [Seats] });
    const seats = app.get(Seats);
    tokens.length = 0;
    await Promise.all([seats.outer('1'), seats.outer('1'), seats.inner('1')]);
    expect(room.most).toBe(1);
    expect(new Set(tokens).size).toBe(3);
    expect(events.filter(({ type }) => type === 'acquired')).toHaveLength(3);
  });

  it('[40] refuse exclusive inside of shared at once', async () => {
    const { app } = await guardedApp({ providers: [Seats] });
    const failure = await failureOf(app.get(Seats).upgrading('1'));
    expect(failure).toMatchObject({ name: 'LockError' });
  });

  it('[35] a context that escaped is no owner', async () => {
    const { app, other } = await guardedApp({ providers: [Seats] });
    const { later } = await app.get(Seats).escaping('1');
    const lease = await other.acquire('seat:1');
    expect(await later).toEqual([undefined, expect.objectContaining({ name: 'LockTimeoutError' })]);
    await lease.release();
  });

  it('[59] gauges are zero after a crowd of them', async () => {
    const { app, locks } = await guardedApp({ providers: [Seats] });
    const seats = app.get(Seats);
    const calls = Array.from({ length: 300 }, (_, index) => {
      const id = String(index % 3);
      return index % 2 === 0 ? seats.outer(id) : seats.inner(id);
    });
    await turns(1);
    expect(locks.gauges.held).toBeGreaterThan(0);
    expect(locks.gauges.waiting).toBeGreaterThan(200);
    await Promise.all(calls);
    expect(locks.gauges).toEqual({ held: 0, waiting: 0, owed: 0 });
  });
});
