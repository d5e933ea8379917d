import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** Where a command writes to, and asks. */
export interface Console {
  readonly json: boolean;
  /** A value for programs, or else its text for people. */
  say(value: unknown, text: () => string): void;
  /** For people, also beside the JSON. */
  note(text: string): void;
  /** Whether somebody answers yes; no answer is no. */
  confirm(question: string): Promise<boolean>;
}

/** What a command line has around it. */
export interface Terminal {
  readonly input: NodeJS.ReadableStream;
  readonly output: NodeJS.WritableStream;
  readonly notes: NodeJS.WritableStream;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export function openConsole(json: boolean, { input, output, notes }: Terminal): Console {
  return {
    json,
    say: (value, text) => void output.write(`${json ? toJson(value) : text()}\n`),
    note: (text) => void notes.write(`${text}\n`),
    confirm: (question) => confirm(question, input, notes),
  };
}

async function confirm(
  question: string,
  input: NodeJS.ReadableStream,
  output: NodeJS.WritableStream,
): Promise<boolean> {
  const lines = createInterface({ input, output });
  const ended = once(lines, 'close').then(() => '');
  const answered = new Promise<string>((resolve) => {
    lines.question(`${question} [y/N] `, resolve);
  });
  try {
    return /^y(es)?$/i.test((await Promise.race([answered, ended])).trim());
  } finally {
    lines.close();
  }
}

/** Fences are texts: they are larger than what JSON's numbers are good for. */
function toJson(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) => (typeof part === 'bigint' ? part.toString() : part));
}

/** Columns as wide as they have to be; those of numbers are on the right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, at) => Math.max(title.length, ...rows.map((row) => row[at]?.length ?? 0)));
  const isNumeric = head.map((_, at) => rows.every((row) => /^[\d.]*( m?s)?$/.test(row[at] ?? '')));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, at) => (isNumeric[at] ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0)))
      .join('  ')
      .trimEnd();
  return [head, ...rows].map(line).join('\n');
}

/** A time as people read it. */
export function msText(ms: number): string {
  if (ms >= 10_000) return `${Math.round(ms / 1000)} s`;
  return ms >= 100 ? `${Math.round(ms)} ms` : `${ms.toFixed(1)} ms`;
}
