/**
 * What the locks guard, as a process of its own: counters that are read, raised and written back by whoever holds the
 * lock. A request is refused when a higher fence was seen before. It tells its port, and ends with its input.
 */
import { createServer } from 'node:net';
import { readLines, writeLine } from './json-lines.js';

/** `fence` is null where a lock has none: then nothing can be refused. */
export type ResourceRequest = { readonly id: number; readonly key: string } & (
  | { readonly do: 'read'; readonly fence: string | null }
  | { readonly do: 'write'; readonly fence: string | null; readonly value: number }
  | { readonly do: 'audit' }
);

export interface ResourceReply {
  readonly id: number;
  readonly accepted: boolean;
  readonly value: number;
  /** Writes that were accepted so far. */
  readonly writes: number;
}

interface Counter {
  value: number;
  writes: number;
  highest: bigint;
}

const counters = new Map<string, Counter>();

function answer(request: ResourceRequest): ResourceReply {
  const counter = counters.get(request.key) ?? { value: 0, writes: 0, highest: -1n };
  counters.set(request.key, counter);
  const fence = request.do === 'audit' || request.fence === null ? counter.highest : BigInt(request.fence);
  const accepted = fence >= counter.highest;
  // a read leaves its fence behind too, else a stale write could slip in between it and the write that follows
  if (accepted) counter.highest = fence;
  if (accepted && request.do === 'write') {
    counter.value = request.value;
    counter.writes++;
  }
  const { value, writes } = counter;
  if (request.do === 'audit') counters.delete(request.key);
  return { id: request.id, accepted, value, writes };
}

const server = createServer((socket) => {
  socket.setNoDelay(true);
  socket.on('error', () => undefined);
  readLines<ResourceRequest>(socket, (request) => writeLine(socket, answer(request)));
}).listen(0, '127.0.0.1', () => writeLine(process.stdout, server.address() as object));
process.stdin.on('close', () => process.exit()).resume();
