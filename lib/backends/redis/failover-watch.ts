import { closeClient } from './own-client.js';
import { knownOptions, type RedisNode } from './redis-client.js';
import { lineToSentinel, sentinelsOf } from './sentinels.js';

const CHANNEL = '+switch-master';
/** Between tries to reach a Sentinel that is down; the others are heard meanwhile. */
const SLOWEST_RETRY_MS = 5000;

/**
 * Listens to the Sentinels, and leaves the old primary as soon as one of them names another. They let the old one go on
 * for seconds, with all its connections: whoever stays renews locks there that the new one gives to others.
 *
 * The client could do that too (`failoverDetector`), if its user knew of it; but it asks one Sentinel for the new
 * address, which may not have heard of it, and it writes to the console for each Sentinel that is down.
 */
export class FailoverWatch {
  private readonly lines: readonly RedisNode[];
  /** The primary that was named last; undefined when it is not known by the address that we connect to. */
  private named: string | undefined;
  /** How often somebody else may still be found behind the client, before it is believed. */
  private doubts = 0;
  private readonly onReady = (): void => this.leaveStale();

  constructor(private readonly client: RedisNode) {
    this.lines = sentinelsOf(client).map((address) =>
      lineToSentinel(client, address, {
        retryStrategy: (attempt: number) => Math.min(SLOWEST_RETRY_MS, 100 * 2 ** Math.min(attempt, 10)),
      }),
    );
    for (const line of this.lines) this.listen(line);
    client.on('ready', this.onReady);
  }

  async stop(): Promise<void> {
    this.client.off('ready', this.onReady);
    await Promise.all(this.lines.map(closeClient));
  }

  private listen(line: RedisNode): void {
    line.on('ready', () => void line.subscribe(CHANNEL).catch(() => undefined));
    line.on('message', (_channel, message) => this.hear(message));
    line.connect().catch(() => undefined);
  }

  /** `name oldHost oldPort newHost newPort` */
  private hear(message: string): void {
    const { name, natMap } = knownOptions(this.client);
    const [subject, , , host, port] = message.split(' ');
    if (subject !== name) return;
    this.named = natMap ? undefined : `${host}:${port}`;
    this.doubts = this.lines.length;
    if (this.client.status !== 'ready') return;
    if (natMap) this.client.disconnect(true);
    else this.leaveStale();
  }

  /** The Sentinel that was asked may not have heard of the fail-over; the next one is asked then. */
  private leaveStale(): void {
    const { stream } = this.client;
    if (this.named === undefined || this.doubts === 0 || !stream) return;
    const found = `${stream.remoteAddress}:${stream.remotePort}`;
    // a name, or the other form of an IP address, tells nothing
    if (found === this.named) this.doubts = 0;
    else {
      this.doubts--;
      this.client.disconnect(true);
    }
  }
}
