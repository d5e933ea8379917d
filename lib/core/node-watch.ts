import type { NodeHealth } from '../backends/lock-backend.js';
import type { Clock, Timer } from './clock.js';
import type { LockEvents } from './events.js';

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 15_000;

/**
 * Remembers how the servers were, and tells of each change. While all is well it asks nothing; when something went
 * wrong, it looks, and goes on looking until all are up again.
 */
export class NodeWatch {
  private readonly down = new Set<string>();
  private timer: Timer | undefined;
  private pauseMs = FIRST_PAUSE_MS;
  private stopped = false;

  /** @param look asks all servers, and has the answer told to `see`; never rejects */
  constructor(
    private readonly events: LockEvents,
    private readonly clock: Clock,
    private readonly look: () => Promise<unknown>,
  ) {}

  /** All servers behind the backend, as they were found just now. */
  see(nodes: readonly NodeHealth[]): void {
    if (this.stopped) return;
    const present = new Set(nodes.map(({ node }) => node));
    // one that left for good is neither up nor down
    for (const node of this.down) if (!present.has(node)) this.down.delete(node);
    for (const health of nodes) this.compare(health);
    this.lookAgainIfDown();
  }

  /** Something went wrong, and a server may be why. */
  suspect(): void {
    if (this.timer || this.stopped) return;
    this.timer = this.clock.setTimer(() => void this.lookNow(), this.pauseMs, true);
  }

  stop(): void {
    this.stopped = true;
    this.timer?.clear();
    this.timer = undefined;
  }

  private async lookNow(): Promise<void> {
    this.timer = undefined;
    this.pauseMs = Math.min(LONGEST_PAUSE_MS, this.pauseMs * 2);
    await this.look();
    this.lookAgainIfDown();
  }

  private lookAgainIfDown(): void {
    if (this.down.size > 0) this.suspect();
    else this.pauseMs = FIRST_PAUSE_MS;
  }

  private compare({ node, role, state, error = 'it is down' }: NodeHealth): void {
    if (state === 'up') {
      if (this.down.delete(node)) this.events.alert({ type: 'node-up', node, role });
    } else if (!this.down.has(node)) {
      this.down.add(node);
      this.events.alert({ type: 'node-down', node, role, error });
    }
  }
}
