import type { Clock, Timer } from '../../core/clock.js';
import type { RedisClient } from './redis-client.js';

const LOOK_MS = 1000;
/** In a row; a process that was blocked for long takes one look after it, and hears the answer before the next. */
const MOST_SILENT_LOOKS = 5;

/**
 * Replaces a connection that takes what is sent and answers nothing for about five seconds; TCP alone would wait for
 * minutes. The client could do that too (`socketTimeout`), by a timer and a listener for each question; a look at the
 * socket's counters every second costs nothing.
 */
export class SilenceWatch {
  private timer: Timer | undefined;
  private stream: RedisClient['stream'];
  private read = 0;
  private written = 0;
  private silentLooks = 0;

  constructor(
    private readonly client: RedisClient,
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
    const { stream } = this.client;
    if (!stream) return;
    if (stream !== this.stream || stream.bytesRead !== this.read) {
      this.stream = stream;
      this.read = stream.bytesRead;
      this.written = stream.bytesWritten;
      this.silentLooks = 0;
    } else if (stream.bytesWritten !== this.written && ++this.silentLooks === MOST_SILENT_LOOKS) {
      stream.destroy(new Error('the server has not answered for five seconds'));
    }
  }
}
