import { BackendError } from '../backend-error.js';
import { BackendUsers } from '../backend-users.js';
import type {
  BackendContext,
  BackendTraits,
  Busy,
  Claim,
  Grant,
  LockBackend,
  LockSnapshot,
  NodeHealth,
  Place,
  RenewOutcome,
} from '../lock-backend.js';
import type { Ear } from './ear.js';
import { POLL_MS } from './lock.js';
import type { MemoryServer } from './memory-server.js';

/**
 * The client of a {@link MemoryServer}. One instance may be handed to several services: each start is one user,
 * and it works until the last of them has stopped it.
 */
export class MemoryBackend implements LockBackend {
  readonly traits: BackendTraits;
  private readonly users = new BackendUsers(
    'memory',
    'give them one clock, or each its own memory({ server }) on one MemoryServer',
  );

  constructor(
    private readonly server: MemoryServer,
    private readonly lockDelayMs = 0,
  ) {
    this.traits = {
      name: 'memory',
      modes: ['exclusive', 'shared', 'permits'],
      fence: 'strict',
      wakeUp: 'queue',
      pollMs: POLL_MS,
      remote: false,
      lockDelayMs,
    };
  }

  async start(context: BackendContext): Promise<void> {
    this.users.add(context);
    this.server.connect(this, context.clock);
  }

  async claim(claim: Claim): Promise<Grant | Place> {
    return this.ask(claim);
  }

  async abandon(claim: Claim): Promise<void> {
    this.checkStarted();
    this.server.abandon(claim);
  }

  async stay(claims: readonly Claim[]): Promise<readonly boolean[]> {
    this.checkStarted();
    return claims.map((claim) => this.server.stay(claim));
  }

  async renew(grants: readonly Grant[]): Promise<readonly RenewOutcome[]> {
    this.checkStarted();
    return grants.map((grant) => this.server.renew(grant));
  }

  async release(grant: Grant, lingerMs = 0): Promise<'released' | 'gone'> {
    this.checkStarted();
    return this.server.release(grant, lingerMs);
  }

  async inspect(key: string): Promise<LockSnapshot | null> {
    this.checkStarted();
    return this.server.inspect(key);
  }

  async *list(prefix: string): AsyncGenerator<LockSnapshot> {
    this.checkStarted();
    for (const key of this.server.keys(prefix)) {
      const snapshot = this.server.inspect(key);
      if (snapshot) yield snapshot;
    }
  }

  async evict(key: string): Promise<boolean> {
    this.checkStarted();
    return this.server.evict(key);
  }

  async nodes(): Promise<readonly NodeHealth[]> {
    const node = { node: 'memory', role: 'embedded' };
    if (this.users.first) return [{ ...node, state: 'up', latencyMs: 0 }];
    return [{ ...node, state: 'down', error: 'No service has started it, or the last one has stopped it.' }];
  }

  /** What is held stays held until its ttl has passed, as on any other server. */
  async stop(): Promise<void> {
    if (this.users.leave()) this.server.disconnect(this);
  }

  /** @internal */
  doubt(owner: string): void {
    this.users.doubt(owner);
  }

  /** @internal */
  report(error: Error): void {
    this.users.report(error);
  }

  private ask(claim: Claim, ear?: Ear): Grant | Place {
    const sentAtMs = this.checkStarted().clock.now();
    const answer = this.server.claim(claim, this.lockDelayMs, ear);
    if ('fence' in answer) return { claim, fence: answer.fence, sentAtMs };
    return this.place(claim, answer.busy, answer.waiter?.ear ?? ear);
  }

  private place(claim: Claim, busy: Busy, ear: Ear | undefined): Place {
    return {
      busy,
      onHint: (wake) => ear?.listen(wake),
      retry: async () => this.ask(claim, ear),
    };
  }

  private checkStarted(): BackendContext {
    const { first } = this.users;
    if (first) return first;
    throw new BackendError(
      'The memory backend is not running: start it before use, and stop it after.',
      'denied',
    );
  }
}
