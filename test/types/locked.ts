/** Checked by `npm run typecheck`, and never run: what the compiler has to refuse about `@Locked`. */
import { Locked, LockService, type LockedOptions } from 'nestjs-interlock';
import { Observable } from 'rxjs';

interface Seat {
  readonly id: string;
  readonly row: number;
}

export class Accepted {
  @Locked('a')
  none(): void {}

  @Locked('seat:<seat.id>')
  protected any(_seat: Seat, ..._more: unknown[]): Observable<Seat> {
    return new Observable();
  }

  @Locked(['a', 'b:<0>'])
  list(_id: string): void {}

  @Locked(() => 'a')
  noArguments(_id: string, _n: number): void {}

  @Locked((id: string) => `seat:${id}`)
  fewer(_id: string, _n: number): Promise<number> {
    return Promise.resolve(1);
  }

  @Locked((seat: { readonly id: string }) => [seat.id, 'all'])
  wider(_seat: Seat): number {
    return 1;
  }

  @Locked((id: string | number, n?: number) => `${id}${n}`)
  optional(_id: string, _n: number): void {}

  @Locked('a', { wait: '2s', ttl: 1000, onBusy: ({ error, args }) => [error.waitedMs, args.length] })
  options(): void {}
}

export class Generic<T extends Seat> {
  @Locked((seat: Seat) => `seat:${seat.id}`)
  ofClass(_seat: T): void {}

  @Locked((seat: Seat) => `seat:${seat.id}`)
  ofMethod<S extends Seat>(_seat: S): void {}

  @Locked('seat:<seat.id>')
  template(_seat: T, ..._more: T[]): void {}

  @Locked((seat: Seat) => `seat:${seat.id}`)
  more(_seat: T, ..._more: T[]): void {}

  @Locked((...ids: string[]) => ids)
  rest(..._ids: string[]): void {}

  @Locked((id?: string) => `seat:${id ?? 'all'}`)
  leftOut(_id?: string): void {}
}

export class Variadic<T extends unknown[]> {
  @Locked('all')
  all(..._all: T): void {}
}

export class Refused {
  // @ts-expect-error -- the argument may be undefined, and the key needs it
  @Locked((id: string) => `seat:${id}`)
  nothing(_id: string | undefined): void {}

  // @ts-expect-error -- the key is of a number, the method has a text
  @Locked((id: number) => `seat:${id}`)
  otherType(_id: string): void {}

  // @ts-expect-error -- the key is of two arguments, the method has one
  @Locked((id: string, row: number) => `seat:${id}:${row}`)
  tooMany(_id: string): void {}

  // @ts-expect-error -- the argument may be left out, and the key needs it
  @Locked((id: string) => `seat:${id}`)
  leftOut(_id?: string): void {}

  // @ts-expect-error -- a seat has no such property
  @Locked((seat: Seat & { readonly price: number }) => `seat:${seat.price}`)
  otherProperty(_seat: Seat): void {}

  // @ts-expect-error -- a key is a text or several
  @Locked((id: number) => id)
  noText(_id: number): void {}

  // @ts-expect-error -- no promise of one
  @Locked(async (id: string) => `seat:${id}`)
  promise(_id: string): void {}

  // @ts-expect-error -- there is no such option
  @Locked('a', { wiat: 1 })
  unknownOption(): void {}

  // @ts-expect-error -- nor such an answer
  @Locked('a', { onBusy: 'wait' })
  unknownAnswer(): void {}

  // @ts-expect-error -- it is for methods, not for properties
  @Locked('a')
  property = 1;

  // @ts-expect-error -- nor for accessors
  @Locked('a')
  get accessor(): number {
    return 1;
  }
}

// @ts-expect-error -- nor for classes
@Locked('a')
export class WholeClass {}

export const wait: LockedOptions = { wait: Infinity };
// @ts-expect-error -- units are known
export const noDuration: LockedOptions = { wait: '2 parsecs' };

export function wrapping(locks: LockService): void {
  locks.wrap(
    (id: string) => id,
    (id) => `seat:${id}`,
  );
  const key = (id: number): string => `seat:${id}`;
  // @ts-expect-error -- the key is of a number, the function has a text
  locks.wrap((id: string) => id, key);
}
