import type { LockBackend, NodeHealth } from '../backends/lock-backend.js';
import { memory, MemoryServer } from '../backends/memory/index.js';
import { durationMs, type Duration } from '../core/duration.js';
import { LockError } from '../core/errors.js';
import type { Lease } from '../core/lease.js';
import { Locks } from '../core/locks.js';
import type { LockOptions } from '../core/options.js';
import type { LockSettings } from '../core/settings.js';
import { LockService } from '../lock.service.js';
import { FaultyBackend, type Fault } from './faulty-backend.js';
import { ManualClock } from './manual-clock.js';

/** The settings of a {@link LockDriver}: those of a lock service, whose clock and backend are the driver's. */
export type LockDriverSettings = Omit<LockSettings, 'clock'>;

/** How the lock server behaves while it is down: it refuses at once, or it never answers. */
export type Outage = 'refusing' | 'silent';

const FAULT_OF: Readonly<Record<Outage, Fault>> = { refusing: 'before', silent: 'hang' };
/** The largest step by which the clock may be moved; also a limit on texts like '1 day'. */
const ADVANCE = { minMs: 0, maxMs: 366 * 86_400_000 };
const CLOSING_STEP_MS = 50;
/** As the seam has it for who gives none. */
const NODES_LIMIT_MS = 1_000;

/**
 * A lock service for tests, with its lock server, the time, and everybody else in the hands of the test. The locks
 * are real: they exclude, expire, wait and get lost, but only when the test says so.
 *
 * @example
 * const driver = new LockDriver();
 * const orders = provideLocks(new Orders(), driver.locks);
 *
 * await driver.occupy('order:7');
 * const refused = expect(orders.settle('7')).rejects.toThrow(LockTimeoutError);
 * await driver.advance('5s');
 * await refused;
 */
export class LockDriver {
  /** Time stands still until it is moved, here or by {@link advance}. */
  readonly clock = new ManualClock();
  /** The service under test. */
  readonly locks: LockService;
  /** What stands between the service and its lock server: counts the calls, and makes single ones fail. */
  readonly backend: FaultyBackend;
  private readonly server: DrivenBackend;
  private readonly others: Locks;
  private readonly occupied = new Map<string, Lease>();

  /** @throws LockConfigurationError when a setting is wrong */
  constructor(settings: LockDriverSettings = {}, name?: string) {
    const server = new MemoryServer({ clock: this.clock });
    this.backend = this.server = new DrivenBackend(memory({ server }), this.clock);
    this.locks = new DrivenLockService(this, settings, name);
    this.others = new Locks(memory({ server }), {
      ...settings,
      clock: this.clock,
      identity: 'somebody-else',
    });
  }

  /**
   * Makes somebody else hold the key until {@link free}, however much time passes.
   *
   * @throws LockTimeoutError when somebody holds it already
   */
  async occupy(key: string, options: Pick<LockOptions, 'mode' | 'permits' | 'take'> = {}): Promise<void> {
    this.occupied.set(key, await this.others.acquire(key, { ...options, wait: 0, reentrant: false }));
  }

  /**
   * Ends what {@link occupy} began, and lets whoever waits for the key have it.
   *
   * @throws LockError when the key is not occupied
   */
  async free(key: string): Promise<void> {
    const lease = this.occupied.get(key);
    if (!lease) throw new LockError(`"${key}" is not occupied; call occupy('${key}') first.`, { key });
    this.occupied.delete(key);
    await lease.release();
    await this.clock.settle();
  }

  /**
   * Takes a key from whoever holds it, as if its lease had ended on the server: the holder's signal has aborted
   * when this returns, unless the server is down.
   *
   * @throws LockError when nobody holds it
   */
  async lose(key: string): Promise<void> {
    const evicted = await this.others.forceRelease(key);
    if (!evicted) throw new LockError(`Nobody holds "${key}", so nobody can lose it.`, { key });
    this.occupied.delete(key);
    await this.clock.settle();
  }

  /**
   * From here on every call to the lock server fails: `refusing` at once (default), `silent` without an answer. The
   * health of the locks is `down`, once the answer of before is older than its `maxAge`.
   */
  goDown(outage: Outage = 'refusing'): void {
    this.server.outage = outage;
    const fault = FAULT_OF[outage];
    this.backend.plan = () => fault;
  }

  /** Ends what {@link goDown} began. Whoever waits or renews finds out at its next try, for which time has to pass. */
  comeUp(): void {
    this.server.outage = undefined;
    this.backend.plan = [];
  }

  /**
   * Lets time pass, with everything that happens meanwhile: leases are renewed or end, waits time out.
   *
   * @param time milliseconds, or a text like '30s'
   */
  async advance(time: Duration): Promise<void> {
    await this.clock.advance(durationMs('time', time, ADVANCE));
  }

  /** @internal Time stands still while an application closes, so whatever has to wait would wait for ever. */
  async close(stop: () => Promise<void>): Promise<void> {
    this.comeUp();
    const stopped = Promise.all([stop(), this.others.stop()]).then(() => true);
    const step = (): Promise<boolean> => this.clock.advance(CLOSING_STEP_MS).then(() => false);
    while (!(await Promise.race([stopped, step()])));
  }
}

/** A lock server that is up or down as a whole, and says so; plans for single calls leave its health alone. */
class DrivenBackend extends FaultyBackend {
  outage: Outage | undefined;

  constructor(
    server: LockBackend,
    private readonly clock: ManualClock,
  ) {
    super(server, []);
  }

  override async nodes(limitMs = NODES_LIMIT_MS): Promise<readonly NodeHealth[]> {
    const { outage } = this;
    const nodes = await super.nodes(limitMs);
    if (!outage) return nodes;
    if (outage === 'silent') {
      await new Promise<void>((resolve) => {
        this.clock.setTimer(resolve, limitMs);
      });
    }
    const error = outage === 'silent' ? `no answer within ${limitMs} ms` : 'the connection is refused';
    return nodes.map(({ node, role }) => ({ node, role, state: 'down', error }));
  }
}

class DrivenLockService extends LockService {
  private stoppingAll: Promise<void> | undefined;

  constructor(
    private readonly driver: LockDriver,
    settings: LockDriverSettings,
    name: string | undefined,
  ) {
    super(driver.backend, { ...settings, clock: driver.clock }, name);
  }

  override stop(): Promise<void> {
    return (this.stoppingAll ??= this.driver.close(() => super.stop()));
  }
}
