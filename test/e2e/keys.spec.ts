import { describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import {
  KeyParam,
  Locked,
  LockConfigurationError,
  LockKeyError,
  type KeySource,
  type LockedOptions,
} from 'nestjs-interlock';
import { failureOf, guardedApp, Room, type GuardedApp } from '../support/guarded-app.js';

const room = new Room();

interface Order {
  readonly id?: unknown;
  readonly lines?: readonly { readonly sku: string }[];
}

@Injectable()
class Orders {
  @Locked('order:<id>')
  byName(id: unknown): Promise<unknown> {
    return room.visit(id);
  }

  @Locked('order:<order>')
  byMark(@KeyParam('order') renamed: unknown): Promise<unknown> {
    return room.visit(renamed);
  }

  @Locked('order:<0>:<1>')
  byPosition(one: unknown, two: unknown): Promise<unknown> {
    return room.visit([one, two]);
  }

  @Locked('order:<order.id>:<order.lines.0.sku>')
  byPath(order: Order): Promise<unknown> {
    return room.visit(order);
  }

  @Locked('order:<0.id>')
  byPathOfPosition(order: Order): Promise<unknown> {
    return room.visit(order);
  }

  @Locked('order:<0.id>')
  destructured({ id }: Order): Promise<unknown> {
    return room.visit(id);
  }

  @Locked('order:<id>')
  defaulted(id = 'usual'): Promise<unknown> {
    return room.visit(id);
  }

  @Locked('order:<ids.1>')
  rest(_first: number, ...ids: string[]): Promise<unknown> {
    return room.visit(ids);
  }

  @Locked('order:<all>')
  wholeRest(...all: string[]): Promise<unknown> {
    return room.visit(all);
  }

  @Locked('order:<marked.0>')
  markedRest(_first: number, @KeyParam('marked') ...ids: string[]): Promise<unknown> {
    return room.visit(ids);
  }

  @Locked((id: string, order: Order) => [`order:${id}`, `lines:${order.lines?.length}`])
  byFunction(id: string, order: Order): Promise<unknown> {
    return room.visit([id, order]);
  }

  @Locked((() => 7) as unknown as () => string)
  wrongFunction(): Promise<unknown> {
    return room.visit('wrong');
  }

  @Locked((id: string) => {
    throw new RangeError(id);
  })
  throwingFunction(id: string): Promise<unknown> {
    return room.visit(id);
  }

  @Locked(((id: string) => Promise.resolve(id)) as unknown as (id: string) => string)
  promisingFunction(id: string): Promise<unknown> {
    return room.visit(id);
  }

  @Locked(['order:<id>', 'order:<id>', 'orders'])
  several(id: unknown): Promise<unknown> {
    return room.visit(id);
  }
}

const acquired = ({ events }: GuardedApp): string[] =>
  events.flatMap((event) => (event.type === 'acquired' ? [event.key] : []));

async function orders(): Promise<GuardedApp & { orders: Orders }> {
  room.visits.length = 0;
  const started = await guardedApp({ providers: [Orders] });
  return { ...started, orders: started.app.get(Orders) };
}

describe('the key of a locked method', () => {
  it('is made of names, marks, positions, paths, lists and functions', async () => {
    const started = await orders();
    const { orders: service } = started;
    await service.byName('n');
    await service.byMark(7n);
    await service.byPosition(true, 0);
    await service.byPath({ id: 1, lines: [{ sku: 's' }] });
    await service.byPathOfPosition({ id: 'p' });
    await service.destructured({ id: 'd' });
    await service.defaulted('given');
    await service.byFunction('f', { lines: [] });
    await service.several('x');
    expect(acquired(started)).toEqual([
      'order:n',
      'order:7',
      'order:true:0',
      'order:1:s',
      'order:p',
      'order:d',
      'order:given',
      'lines:0',
      'order:f',
      'order:x',
      'orders',
    ]);
  });

  it('of a rest parameter goes into its list', async () => {
    const started = await orders();
    await started.orders.rest(0, 'a', 'b');
    await started.orders.markedRest(0, 'c');
    expect(acquired(started)).toEqual(['order:b', 'order:c']);
    // one lock on the first of them would let two with other ones in
    expect(await failureOf(started.orders.wholeRest('a', 'b'))).toMatchObject({
      name: 'LockKeyError',
      message: expect.stringContaining('<all> is an array'),
    });
  });

  it.each([
    ['undefined', undefined],
    ['null', null],
    ['NaN', NaN],
    ['an object', { id: 1 }],
    ['a list', ['a']],
    ['an empty text', ''],
  ])('is refused for %s, and nothing runs or is sent', async (_what, value) => {
    const { orders: service, backend } = await orders();
    const calls = [
      service.byName(value),
      service.byMark(value),
      service.byPosition('a', value),
      service.byPath({ id: value, lines: [{ sku: 's' }] }),
      service.byPathOfPosition({ id: value }),
      service.destructured({ id: value }),
      service.several(value),
    ];
    const failures = await Promise.all(calls.map((call) => failureOf(call)));
    expect(failures).toEqual(calls.map(() => expect.any(LockKeyError)));
    expect(room.visits).toEqual([]);
    expect(backend.calls.map(({ method }) => method)).toEqual(['start']);
  });

  it('is refused when an argument is left out, though the parameter has a default', async () => {
    const { orders: service } = await orders();
    expect(await failureOf(service.defaulted())).toMatchObject({
      name: 'LockKeyError',
      message: expect.stringContaining(
        'Orders.defaulted has no key for "order:<id>": <id> is undefined',
      ) as unknown,
    });
    expect(room.visits).toEqual([]);
  });

  it('is refused when a function makes none, and what the function throws is passed on', async () => {
    const { orders: service } = await orders();
    const message =
      'The key function of Orders.wrongFunction returned 7; it has to return a text or a list of texts. Nothing has run.';
    expect(await failureOf(service.wrongFunction())).toEqual(new LockKeyError(message));
    expect(await failureOf(service.promisingFunction('a'))).toBeInstanceOf(LockKeyError);
    expect(await failureOf(service.throwingFunction('mine'))).toEqual(new RangeError('mine'));
    expect(room.visits).toEqual([]);
  });

  it("[4] of ('a:b','c') and of ('a','b:c') never meet", async () => {
    const { orders: service, locks } = await orders();
    room.most = 0;
    await Promise.all([service.byPosition('a:b', 'c'), service.byPosition('a', 'b:c')]);
    expect([room.most, room.visits.length]).toEqual([2, 2]);
    expect(locks.gauges.held).toBe(0);
  });

  it('[4] of hostile values: distinct ones never meet, equal ones always do', async () => {
    const { orders: service } = await orders();
    const values = [
      '__proto__',
      'constructor',
      '🪑',
      'é',
      'e\u0301',
      'É',
      'a ',
      'a',
      '\0',
      '{a}',
      '<id>',
      '"',
      '../a',
      '%61',
      '*',
      'x'.repeat(1_000_000),
      `${'x'.repeat(999_999)}y`,
    ];
    room.most = 0;
    await Promise.all(values.map((value) => service.byName(value)));
    expect(room.most).toBe(values.length);
    room.most = 0;
    for (const value of values) await Promise.all([service.byName(value), service.byMark(value)]);
    expect(room.most).toBe(1);
  });
});

/** What the definition of a class says, whose method `sell(seatId, { buyer }, ...more)` has such a lock. */
function definition(key: unknown, options?: unknown): string {
  try {
    class Seats {
      @Locked(key as KeySource, options as LockedOptions)
      sell(_seatId: string, { buyer }: { buyer: string }, ..._more: string[]): string {
        return buyer;
      }
    }
    return `no error, but ${Seats.name}`;
  } catch (error) {
    expect(error).toBeInstanceOf(LockConfigurationError);
    return (error as Error).message;
  }
}

describe('the definition of a class is refused', () => {
  it('when a template names no parameter', () => {
    const message = (text: string, name: string): string =>
      `${text} in the key of the lock on Seats.sell names no parameter (there are: _seatId, _more). Correct the name; if a minifier renames parameters, mark the parameter with @KeyParam('${name}') or write its position, like <0>.`;
    expect(definition('seat:<seat>')).toBe(message('<seat>', 'seat'));
    expect(definition('seat:<buyer>')).toBe(message('<buyer>', 'buyer'));
    expect(definition(['seats', 'seat:<Seatid.x>'])).toBe(message('<Seatid.x>', 'Seatid'));
    expect(definition('seat:<_seatId>')).toBe('no error, but Seats');
  });

  it('when a template of a method without parameters names one', () => {
    expect(() => {
      class Seats {
        @Locked('seat:<id>')
        sell(): void {}
      }
      return Seats;
    }).toThrow(
      new LockConfigurationError(
        "<id> in the key of the lock on Seats.sell names no parameter (there are: none). Correct the name; if a minifier renames parameters, mark the parameter with @KeyParam('id') or write its position, like <0>.",
      ),
    );
  });

  it.each([
    ['', undefined, "Seats.sell has an empty key; name what is to be locked, like 'order:<id>'."],
    [
      [],
      undefined,
      "The key of the lock on Seats.sell is an array; give a text like 'order:<id>', a list of them, or a function of the arguments.",
    ],
    [
      undefined,
      undefined,
      "The key of the lock on Seats.sell is undefined; give a text like 'order:<id>', a list of them, or a function of the arguments.",
    ],
    [
      ['a', 7],
      undefined,
      "The key of the lock on Seats.sell is an array; give a text like 'order:<id>', a list of them, or a function of the arguments.",
    ],
    ['a', null, "The options of the lock on Seats.sell are null; give an object like { wait: '2s' }."],
    ['a', 7, "The options of the lock on Seats.sell are 7; give an object like { wait: '2s' }."],
    [
      'a',
      { wiat: 1 },
      'The lock on Seats.sell is set up wrongly: There is no option "wiat"; there are ttl, wait, signal, mode, permits, take, renew, minHold, reentrant, pattern, onLost.',
    ],
    [
      'a',
      { onBusy: 'wait' },
      `onBusy of the lock on Seats.sell is "wait"; give 'throw', 'skip' or a function.`,
    ],
    [
      'a',
      { onLost: 'skip' },
      `The lock on Seats.sell is set up wrongly: onLost is "skip"; give 'report' or 'throw'.`,
    ],
    [
      'a',
      { locks: 'a b' },
      'The name of a lock service is "a b"; give 1 to 64 letters, digits or any of _ . -, or leave it out for the default one.',
    ],
  ])('for the key %j with the options %j', (key, options, message) => {
    expect(definition(key, options)).toBe(message);
  });

  it.each([
    { wait: -1 },
    { wait: '2 parsecs' },
    { ttl: 0 },
    { ttl: NaN },
    { minHold: '2h', ttl: '1s' },
    { take: 2 },
  ])('for the options %j', (options) => {
    expect(definition('a', options)).toMatch(/^The lock on Seats\.sell is set up wrongly: \w+ /);
  });

  it('when @Locked is on no method of instances', () => {
    const decorate = (decorator: unknown, target: object, property: string, value: unknown): (() => void) => {
      const apply = decorator as (target: object, property: string, descriptor?: object) => void;
      return () => apply(target, property, value === undefined ? undefined : { value });
    };
    class Seats {
      static sell(): void {}
    }
    expect(decorate(Locked('a'), Seats, 'sell', Seats.sell)).toThrow(
      new LockConfigurationError(
        '@Locked is on Seats.static sell, but Nest hands its services to instances; make it an instance method, or use LockService.using.',
      ),
    );
    expect(decorate(Locked('a'), Seats.prototype, 'rows', undefined)).toThrow(
      new LockConfigurationError(
        "@Locked is on Seats.rows, which is undefined; put it on a method, with parentheses: @Locked('key').",
      ),
    );
  });

  it('when a parameter is marked wrongly', () => {
    const mark = (name: unknown, property: string | undefined, index = 0): void =>
      KeyParam(name as string)(Marked.prototype, property, index);
    class Marked {}
    for (const name of ['', '0', 'a b', 'a.b', '<a>', undefined, 7]) {
      expect(() => mark(name, 'sell')).toThrow(
        /^@KeyParam on Marked\.sell has the name .*; give one that can stand in/,
      );
    }
    expect(() => mark('a', undefined)).toThrow(/^@KeyParam\('a'\) is on a constructor of Marked/);
    mark('a', 'sell');
    expect(() => mark('a', 'sell', 1)).toThrow(
      new LockConfigurationError(
        "Two parameters of Marked.sell are marked @KeyParam('a'); give each its own name.",
      ),
    );
    expect(() => mark('a', 'refund')).not.toThrow();
  });
});
