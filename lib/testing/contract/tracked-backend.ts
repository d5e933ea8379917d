import {
  isGrant,
  type BackendContext,
  type BackendTraits,
  type Claim,
  type Grant,
  type LockBackend,
  type LockSnapshot,
  type NodeHealth,
  type Place,
  type RenewOutcome,
} from '../../backends/lock-backend.js';

const RENEWALS_MORE = 3;

/** Notes which claims may still have something on the server, so that a test need not tidy up after itself. */
export class TrackedBackend implements LockBackend {
  readonly traits: BackendTraits;
  readonly stay?: (claims: readonly Claim[]) => Promise<readonly boolean[]>;

  /** @param open the claims of all clients of a test, by key and owner */
  constructor(
    private readonly inner: LockBackend,
    private readonly open: Map<string, Claim>,
  ) {
    this.traits = inner.traits;
    if (inner.stay) this.stay = async (claims) => (await inner.stay?.(claims)) ?? [];
  }

  start(context: BackendContext): Promise<void> {
    return this.inner.start(context);
  }

  async claim(claim: Claim): Promise<Grant | Place> {
    this.open.set(nameOf(claim), claim);
    return this.track(claim, await this.inner.claim(claim));
  }

  async abandon(claim: Claim): Promise<void> {
    await this.inner.abandon(claim);
    this.open.delete(nameOf(claim));
  }

  /** Asks again for those that are not known, as the core does: a row may be locked for a moment by somebody else. */
  async renew(grants: readonly Grant[]): Promise<readonly RenewOutcome[]> {
    const outcomes = [...(await this.inner.renew(grants))];
    for (let more = 0; more < RENEWALS_MORE && outcomes.includes('unknown'); more++) {
      const unknown = [...outcomes.keys()].filter((nth) => outcomes[nth] === 'unknown');
      const answers = await this.inner.renew(unknown.flatMap((nth) => grants[nth] ?? []));
      unknown.forEach((nth, at) => (outcomes[nth] = answers[at] ?? 'unknown'));
    }
    return outcomes;
  }

  async release(grant: Grant, lingerMs?: number, followed?: boolean): Promise<'released' | 'gone'> {
    const outcome = await this.inner.release(grant, lingerMs, followed);
    this.open.delete(nameOf(grant.claim));
    return outcome;
  }

  inspect(key: string): Promise<LockSnapshot | null> {
    return this.inner.inspect(key);
  }

  list(prefix: string): AsyncIterable<LockSnapshot | undefined> {
    return this.inner.list(prefix);
  }

  evict(key: string): Promise<boolean> {
    return this.inner.evict(key);
  }

  nodes(limitMs?: number): Promise<readonly NodeHealth[]> {
    return this.inner.nodes(limitMs);
  }

  stop(): Promise<void> {
    return this.inner.stop();
  }

  private track(claim: Claim, answer: Grant | Place): Grant | Place {
    if (isGrant(answer)) return answer;
    return {
      busy: answer.busy,
      onHint: (wake) => answer.onHint(wake),
      retry: async () => {
        this.open.set(nameOf(claim), claim);
        return this.track(claim, await answer.retry());
      },
    };
  }
}

function nameOf({ key, owner }: Claim): string {
  return `${key} ${owner}`;
}
