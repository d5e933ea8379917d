import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';

/** One JSON value a line. bigint is for the caller to write as text. */
export function readLines<T>(stream: Readable, take: (line: T) => void): void {
  createInterface(stream).on('line', (text) => take(JSON.parse(text) as T));
}

export function writeLine(stream: Writable, line: object): void {
  stream.write(`${JSON.stringify(line)}\n`);
}
