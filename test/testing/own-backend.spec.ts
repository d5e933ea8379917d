import { describe, it } from '@jest/globals';
import {
  BackendError,
  describeLockBackend,
  ManualClock,
  type BackendContext,
  type BackendTraits,
  type Claim,
  type Grant,
  type LockBackend,
  type LockSnapshot,
  type NodeHealth,
  type Place,
  type RenewOutcome,
} from 'nestjs-interlock/testing';

interface Row {
  readonly owner: string;
  readonly fence: bigint;
  readonly released: boolean;
  readonly untilMs: number;
}

/** Stands for the server: one row a key, the fence of each key, the owners who gave up, and its clock. */
class Table {
  readonly rows = new Map<string, Row>();
  readonly fences = new Map<string, bigint>();
  readonly abandoned = new Set<string>();

  constructor(readonly now: () => number) {}

  /** The row of a key, unless it has expired. */
  read(key: string): Row | undefined {
    const row = this.rows.get(key);
    return row && row.untilMs > this.now() ? row : undefined;
  }
}

/** The plainest backend that keeps the contract: exclusive locks, no line, no wake-up. */
class TableBackend implements LockBackend {
  readonly traits: BackendTraits = {
    name: 'table',
    modes: ['exclusive'],
    fence: 'strict',
    wakeUp: 'poll',
    pollMs: 50,
    remote: false,
  };
  private context: BackendContext | undefined;

  constructor(private readonly table: Table) {}

  async start(context: BackendContext): Promise<void> {
    this.context = context;
  }

  async claim(claim: Claim): Promise<Grant | Place> {
    const sentAtMs = this.running().clock.now();
    const { key, owner, mode, ttlMs } = claim;
    if (mode !== 'exclusive')
      throw new BackendError(`The table has no ${mode} locks; use exclusive ones.`, 'denied');
    if (this.table.abandoned.has(`${key} ${owner}`))
      throw new BackendError('The claim was abandoned.', 'denied');
    const row = this.table.read(key);
    const mine = row?.owner === owner && !row.released;
    if (row && !mine) return this.place(claim, row);
    const fence = row ? row.fence : (this.table.fences.get(key) ?? 0n) + 1n;
    this.table.fences.set(key, fence);
    this.table.rows.set(key, { owner, fence, released: false, untilMs: this.table.now() + ttlMs });
    return { claim, fence, sentAtMs };
  }

  async abandon(claim: Claim): Promise<void> {
    this.running();
    // a server forgets these after a minute
    this.table.abandoned.add(`${claim.key} ${claim.owner}`);
    if (this.held(claim)) this.table.rows.delete(claim.key);
  }

  async renew(grants: readonly Grant[]): Promise<readonly RenewOutcome[]> {
    this.running();
    return grants.map(({ claim }) => {
      const row = this.held(claim);
      if (row) this.table.rows.set(claim.key, { ...row, untilMs: this.table.now() + claim.ttlMs });
      return row ? 'renewed' : 'gone';
    });
  }

  async release({ claim }: Grant, lingerMs = 0): Promise<'released' | 'gone'> {
    this.running();
    const row = this.held(claim);
    if (!row) return 'gone';
    this.table.rows.set(claim.key, { ...row, released: true, untilMs: this.table.now() + lingerMs });
    return 'released';
  }

  async inspect(key: string): Promise<LockSnapshot | null> {
    this.running();
    const row = this.table.read(key);
    if (!row) return null;
    const holder = {
      owner: row.owner,
      take: 1,
      fence: row.fence,
      expiresInMs: row.untilMs - this.table.now(),
    };
    return { key, mode: 'exclusive', of: 1, holders: [holder], waiting: 0 };
  }

  async *list(prefix: string): AsyncGenerator<LockSnapshot> {
    for (const key of this.table.rows.keys()) {
      const snapshot = key.startsWith(prefix) ? await this.inspect(key) : null;
      if (snapshot) yield snapshot;
    }
  }

  async evict(key: string): Promise<boolean> {
    const context = this.running();
    const row = this.table.read(key);
    this.table.rows.delete(key);
    if (row) context.doubt(row.owner);
    return row !== undefined;
  }

  async nodes(): Promise<readonly NodeHealth[]> {
    return [{ node: 'table', role: 'embedded', state: 'up' }];
  }

  async stop(): Promise<void> {
    this.context = undefined;
  }

  private held({ key, owner }: Claim): Row | undefined {
    const row = this.table.read(key);
    return row?.owner === owner && !row.released ? row : undefined;
  }

  private place(claim: Claim, row: Row): Place {
    const busy = { holder: row.owner, expiresInMs: row.untilMs - this.table.now() };
    return { busy, onHint: () => undefined, retry: () => this.claim(claim) };
  }

  private running(): BackendContext {
    if (this.context) return this.context;
    throw new BackendError('The table backend is not running.', 'denied');
  }
}

const clock = new ManualClock();
const table = new Table(() => clock.now());

describeLockBackend('table', {
  runner: { describe, it },
  traits: { modes: ['exclusive'], fence: 'strict', wakeUp: 'poll' },
  create: () => new TableBackend(table),
  clock,
  wait: (ms) => clock.advance(ms),
  leftovers: async () => [...table.rows.keys()].filter((key) => table.read(key)),
});
