import type { Clock, Timer } from '../../core/clock.js';
import type { RedisNode } from './redis-client.js';

const LOOK_MS = 1000;
/** In a row; a process that was blocked for long takes one look after it, and hears the answer before the next. */
const MOST_SILENT_LOOKS = 5;

/** What was seen of one connection. */
interface Sight {
  readonly stream: RedisNode['stream'];
  readonly read: number;
  readonly written: number;
  silentLooks: number;
}

/**
 * Replaces a connection that takes what is sent and answers nothing for about five seconds; TCP alone would wait for
 * minutes. The client could do that too (`socketTimeout`), by a timer and a listener for each question; a look at the
 * socket's counters every second costs nothing.
 */
export class SilenceWatch {
  private timer: Timer | undefined;
  private readonly sights = new WeakMap<RedisNode, Sight>();

  /** @param connections those that there are at the moment */
  constructor(
    private readonly connections: () => readonly RedisNode[],
    private readonly clock: Clock,
  ) {
    this.arm();
  }

  stop(): void {
    this.timer?.clear();
  }

  private arm(): void {
    this.timer = this.clock.setTimer(() => this.look(), LOOK_MS, true);
  }

  private look(): void {
    this.arm();
    for (const connection of this.connections()) this.lookAt(connection);
  }

  private lookAt(connection: RedisNode): void {
    const { stream } = connection;
    if (!stream) return;
    const sight = this.sights.get(connection);
    if (!sight || stream !== sight.stream || stream.bytesRead !== sight.read) {
      const seen = { stream, read: stream.bytesRead, written: stream.bytesWritten, silentLooks: 0 };
      this.sights.set(connection, seen);
    } else if (stream.bytesWritten !== sight.written && ++sight.silentLooks === MOST_SILENT_LOOKS) {
      stream.destroy(new Error('the server has not answered for five seconds'));
    }
  }
}
