import type { RedisNode } from './redis-client.js';

/**
 * Goes ahead of a script for the sake of its place. At the end of a turn the server writes first to whom it had
 * something to say last: to those whom the script tells, when the answer to this has already put us in the line, and
 * to us first without it. Whoever is handed a lock would have to wait for that, and for what the answer sets off in this
 * process when both share a core (ADR 17).
 */
class Forerunner {
  /** It needs no permission but those of the scripts, and asks for no key. */
  readonly name = 'time';
  readonly args: string[] = [];
  readonly promise = Promise.resolve();
  /** The client's own notes: its channel for traces is told of steps alone. */
  isTraced = true;
  inTransaction = false;

  toWritable(): string {
    return '*1\r\n$4\r\ntime\r\n';
  }

  /** Whatever comes of it is of no interest. */
  resolve(): void {}

  reject(): void {}

  setReplyContext(): void {}
}

/** Sends a command behind one, in one piece. */
export function sendBehindForerunner(
  client: RedisNode,
  stream: NonNullable<RedisNode['stream']>,
  command: object,
): void {
  stream.cork();
  try {
    client.sendCommand(new Forerunner() as never);
    client.sendCommand(command as never);
  } finally {
    stream.uncork();
  }
}
