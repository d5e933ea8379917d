/** Replaces the date of this process by one that stands where a test puts it. Timers are left alone. */
export class WallClock implements Disposable {
  private readonly original = globalThis.Date;

  constructor(public nowMs: number) {
    const { original } = this;
    const now = (): number => this.nowMs;
    globalThis.Date = new Proxy(original, {
      construct: (target, args: [], newTarget) =>
        Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget) as Date,
      get: (target, property, receiver) =>
        property === 'now' ? now : (Reflect.get(target, property, receiver) as unknown),
    });
  }

  [Symbol.dispose](): void {
    globalThis.Date = this.original;
  }
}
