import type { NodeHealth } from '../backends/lock-backend.js';
import type { LockEvents } from './events.js';

/** Remembers how the servers were, and tells of each change. */
export class NodeWatch {
  private readonly down = new Map<string, string>();

  constructor(private readonly events: LockEvents) {}

  /** All servers behind the backend, as they were found just now. */
  see(nodes: readonly NodeHealth[]): void {
    const present = new Set(nodes.map(({ node }) => node));
    // one that left for good is neither up nor down
    for (const node of this.down.keys()) if (!present.has(node)) this.down.delete(node);
    for (const health of nodes) this.compare(health);
  }

  private compare({ node, role, state, error = 'it is down' }: NodeHealth): void {
    if (state === 'up') {
      if (this.down.delete(node)) this.events.alert({ type: 'node-up', node, role });
    } else if (!this.down.has(node)) {
      this.down.set(node, error);
      this.events.alert({ type: 'node-down', node, role, error });
    }
  }
}
