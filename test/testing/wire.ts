import {
  isGrant,
  type BackendContext,
  type Grant,
  type LockBackend,
  type Place,
} from '../../lib/backends/lock-backend.js';

/**
 * Puts a wire between a backend and its callers: requests and replies take a random time each, in order, as on one
 * connection; hints come on another one.
 */
export function overAWire(inner: LockBackend, longestMs: number): LockBackend {
  const there = new Line(longestMs);
  const back = new Line(longestMs);
  const hints = new Line(longestMs);
  let now = (): number => 0;

  const send = async <T>(step: () => Promise<T>): Promise<T> => {
    await there.pass();
    const reply = step();
    reply.catch(() => undefined);
    await back.pass();
    return reply;
  };

  const ask = async (step: () => Promise<Grant | Place>): Promise<Grant | Place> => {
    const sentAtMs = now();
    const answer = await send(step);
    if (isGrant(answer)) return { ...answer, sentAtMs };
    return {
      busy: answer.busy,
      onHint: (wake) => answer.onHint(() => void hints.pass().then(wake)),
      retry: () => ask(() => answer.retry()),
    };
  };

  const list: LockBackend['list'] = async function* (prefix) {
    await there.pass();
    yield* inner.list(prefix);
  };

  return {
    traits: { ...inner.traits, remote: true },
    start: (context: BackendContext) => {
      now = () => context.clock.now();
      return inner.start(context);
    },
    claim: (claim) => ask(() => inner.claim(claim)),
    abandon: (claim) => send(() => inner.abandon(claim)),
    ...(inner.stay && { stay: (claims) => send(async () => (await inner.stay?.(claims)) ?? []) }),
    renew: (grants) => send(() => inner.renew(grants)),
    release: (grant, lingerMs) => send(() => inner.release(grant, lingerMs)),
    inspect: (key) => send(() => inner.inspect(key)),
    list,
    evict: (key) => send(() => inner.evict(key)),
    nodes: (limitMs) => inner.nodes(limitMs),
    stop: () => inner.stop(),
  };
}

class Line {
  private last: Promise<unknown> = Promise.resolve();

  constructor(private readonly longestMs: number) {}

  pass(): Promise<void> {
    const delayMs = Math.random() * this.longestMs;
    const arrived = new Promise((resolve) => {
      setTimeout(resolve, delayMs);
    });
    const passed = Promise.all([this.last, arrived]).then(() => undefined);
    this.last = passed;
    return passed;
  }
}
