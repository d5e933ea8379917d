/** Taken before a test can replace it by a fake one. */
const immediately = setImmediate;

/** Something that will happen. */
export interface Planned {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
  /** It will not happen after all. */
  isOff: boolean;
}

/**
 * The time of a simulated world. What is planned happens in the order of its time, and what was planned first first.
 * Each of it is a turn of the real event loop, so everything that waits for promises gets to run in between, and a
 * rejection that nobody handles is noticed as in real life.
 */
export class VirtualTime {
  nowMs = 0;
  /** How many things have happened. */
  steps = 0;
  private readonly heap: Planned[] = [];
  private order = 0;
  private readonly onceSettled: (() => void)[] = [];

  at(atMs: number, run: () => void): Planned {
    const planned = { atMs: Math.max(atMs, this.nowMs), order: this.order++, run, isOff: false };
    this.rise(this.heap.push(planned) - 1, planned);
    return planned;
  }

  after(delayMs: number, run: () => void): Planned {
    return this.at(this.nowMs + delayMs, run);
  }

  /** Calls back when all that follows from the present step by promises has run, at the same time. */
  whenSettled(run: () => void): void {
    this.onceSettled.push(run);
  }

  /** Goes on until it is done, or nothing is planned any more; `false` in the latter case, and after `mostSteps`. */
  run(isDone: () => boolean, mostSteps: number): Promise<boolean> {
    const { promise, resolve, reject } = withResolvers<boolean>();
    const last = this.steps + mostSteps;
    const step = (): void => {
      try {
        for (const settled of this.onceSettled.splice(0)) settled();
        if (isDone()) return resolve(true);
        const next = this.take();
        if (!next || this.steps++ >= last) return resolve(false);
        this.nowMs = next.atMs;
        next.run();
        immediately(step);
      } catch (error) {
        reject(error as Error);
      }
    };
    immediately(step);
    return promise;
  }

  private take(): Planned | undefined {
    const { heap } = this;
    for (;;) {
      const first = heap[0];
      const last = heap.pop();
      if (last && heap.length > 0) this.sink(last);
      if (!first?.isOff) return first;
    }
  }

  private rise(index: number, planned: Planned): void {
    const { heap } = this;
    for (let at = index; ;) {
      const above = (at - 1) >> 1;
      const other = heap[above];
      if (at === 0 || !other || isBefore(other, planned)) {
        heap[at] = planned;
        return;
      }
      heap[at] = other;
      at = above;
    }
  }

  private sink(planned: Planned): void {
    const { heap } = this;
    for (let at = 0; ;) {
      let below = 2 * at + 1;
      const [left, right] = [heap[below], heap[below + 1]];
      if (left && right && isBefore(right, left)) below++;
      const other = heap[below];
      if (!other || isBefore(planned, other)) {
        heap[at] = planned;
        return;
      }
      heap[at] = other;
      at = below;
    }
  }
}

function isBefore(one: Planned, other: Planned): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);
}

/** Of newer versions of the language. */
function withResolvers<T>(): {
  promise: Promise<T>;
  resolve: (value: T) => void;
  reject: (error: Error) => void;
} {
  let resolve!: (value: T) => void;
  let reject!: (error: Error) => void;
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}
