import type { RedisNode } from './redis-client.js';
import type { ScriptCall } from './script-call.js';

/** A command that needs no permission but those of the scripts, and asks for no key. */
const TIME = '*1\r\n$4\r\ntime\r\n';

/**
 * Goes ahead of a script for the sake of its place. At the end of a turn the server writes first to whom it had
 * something to say last: to those whom the script tells, when the answer to this has already put us in the line, and
 * to us first without it. Whoever is handed a lock would have to wait for that, and for what the answer sets off in this
 * process when both share a core (ADR 17).
 *
 * Both go out in one text.
 */
class Forerunner {
  readonly name = 'time';
  readonly args: string[] = [];
  readonly promise = Promise.resolve();
  /** The client's own notes: nobody is told of this. */
  isTraced = true;
  inTransaction = false;

  /** @param call that follows at once; undefined later on, when the client repeats what it sent */
  constructor(public call: Pick<ScriptCall, 'text' | 'isWritten'> | undefined) {}

  resolve(): void {}

  reject(): void {}

  setReplyContext(): void {}

  toWritable(): string {
    const { call } = this;
    if (!call) return TIME;
    call.isWritten = true;
    return TIME + call.text;
  }
}

/** Sends a script whose answer is the last thing that the server writes of what comes of it. */
export function sendBehindForerunner<T>(client: RedisNode, call: ScriptCall<T>): void {
  const forerunner = new Forerunner(call);
  client.sendCommand(forerunner as never);
  client.sendCommand(call as never);
  // from here on each stands for itself, should the client send them again
  forerunner.call = undefined;
  call.isWritten = false;
}
