import { BackendError } from '../../lib/backends/backend-error.js';
import {
  isGrant,
  type Claim,
  type Grant,
  type LockBackend,
  type Place,
} from '../../lib/backends/lock-backend.js';
import type { Clock } from '../../lib/core/clock.js';

/** Numbers from 0 to 1, the same again for the same seed (mulberry32). */
export function dice(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** How bad it is; chances from 0 to 1. */
export interface Forecast {
  /** Requests and answers take up to that long each, so that they overtake one another. */
  readonly latencyMs: number;
  /** A request or an answer that is lost, without a word. */
  readonly lost: number;
  /** A request that arrives long after everybody has given it up, up to that much later. */
  readonly stray: number;
  readonly strayMs: number;
  /** A call that is refused, or whose connection breaks under it. */
  readonly broken: number;
  readonly lostHints: number;
}

/** The way between a service and its lock server, on which requests and answers are late, lost and out of order. */
export class Weather {
  /** While true, nothing gets through. */
  storm = false;

  constructor(
    private readonly clock: Clock,
    private readonly roll: () => number,
    private readonly forecast: Forecast,
  ) {}

  over = (inner: LockBackend): LockBackend =>
    Object.assign(Object.create(inner) as LockBackend, {
      claim: (claim: Claim) => this.send(async () => this.place(await inner.claim(claim))),
      abandon: (claim: Claim) => this.send(() => inner.abandon(claim)),
      stay: (claims: readonly Claim[]) => this.send(async () => (await inner.stay?.(claims)) ?? []),
      renew: (grants: readonly Grant[]) => this.send(() => inner.renew(grants)),
      release: (grant: Grant, lingerMs?: number) => this.send(() => inner.release(grant, lingerMs)),
      inspect: (key: string) => this.send(() => inner.inspect(key)),
      evict: (key: string) => this.send(() => inner.evict(key)),
    });

  private place(answer: Grant | Place): Grant | Place {
    if (isGrant(answer)) return answer;
    return {
      busy: answer.busy,
      onHint: (wake) => answer.onHint(() => this.roll() >= this.forecast.lostHints && wake()),
      retry: () => this.send(async () => this.place(await answer.retry())),
    };
  }

  private async send<T>(step: () => Promise<T>): Promise<T> {
    // one throw of the dice for each, in this order, so that a seed means the same however the calls come out
    const [request, answer, broken, lost, stray] = [
      this.roll(),
      this.roll(),
      this.roll(),
      this.roll(),
      this.roll(),
    ];
    const { forecast } = this;
    if (broken < forecast.broken / 2) throw new BackendError('the server refused', 'denied');
    await this.sleep(request * forecast.latencyMs);
    if (this.storm || lost < forecast.lost / 2) return silence();
    if (stray < forecast.stray) await this.sleep((stray / forecast.stray) * forecast.strayMs);
    // by the time of its arrival it is carried out, whatever becomes of the answer
    const result = step();
    result.catch(() => undefined);
    await this.sleep(answer * forecast.latencyMs);
    if (this.storm || lost < forecast.lost) return silence();
    if (broken < forecast.broken) throw new BackendError('the connection broke', 'unknown');
    return result;
  }

  private sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.clock.setTimer(resolve, Math.ceil(ms));
    });
  }
}

function silence(): Promise<never> {
  return new Promise(() => {});
}
