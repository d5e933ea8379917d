const END = Buffer.from('\r\n');
/** Types whose header counts what follows: bytes, elements, or pairs of elements. */
const TEXTS = '$!=';
const LISTS = '*~>';
const PAIRS = '%|';

/** Cuts what comes over a connection of Redis, in either direction, into whole frames. */
export class RespFrames {
  private rest: Buffer = Buffer.alloc(0);

  push(chunk: Buffer): Buffer[] {
    this.rest = this.rest.length > 0 ? Buffer.concat([this.rest, chunk]) : chunk;
    const frames: Buffer[] = [];
    for (let end = endOf(this.rest, 0); end > 0; end = endOf(this.rest, 0)) {
      frames.push(this.rest.subarray(0, end));
      this.rest = this.rest.subarray(end);
    }
    return frames;
  }
}

/** The words of a request. */
export function wordsOf(frame: Buffer): string[] {
  const words: string[] = [];
  let at = lineEnd(frame, 0);
  while (at < frame.length) {
    const start = lineEnd(frame, at);
    const length = Number(frame.toString('latin1', at + 1, start - 2));
    words.push(frame.toString('utf8', start, start + length));
    at = start + length + 2;
  }
  return words;
}

/** Whether it answers no request: a message, or that one listens. */
export function isPush(frame: Buffer): boolean {
  return frame[0] === '>'.charCodeAt(0);
}

/** Whether it is what somebody published. */
export function isMessage(frame: Buffer): boolean {
  return isPush(frame) && /^s?message$/.test(wordsOf(frame)[0] ?? '');
}

/** Where the frame that begins at `start` ends; 0 when it is not complete yet. */
function endOf(buffer: Buffer, start: number): number {
  const line = lineEnd(buffer, start);
  if (line === 0) return 0;
  const type = String.fromCharCode(buffer[start] ?? 0);
  const count = Number(buffer.toString('latin1', start + 1, line - 2));
  if (count < 0) return line;
  if (TEXTS.includes(type)) return line + count + 2 <= buffer.length ? line + count + 2 : 0;
  const elements = LISTS.includes(type) ? count : PAIRS.includes(type) ? 2 * count : 0;
  let end = line;
  for (let element = 0; element < elements && end > 0; element++) end = endOf(buffer, end);
  return end;
}

function lineEnd(buffer: Buffer, start: number): number {
  const at = buffer.indexOf(END, start);
  return at < 0 ? 0 : at + END.length;
}
